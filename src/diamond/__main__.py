"""`python -m diamond` is the command `diamond`."""

from diamond.cli import main

main()
