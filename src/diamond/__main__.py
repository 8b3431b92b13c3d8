"""`python -m diamond` is the command `diamond`."""

from diamond.cli.main import main

main()
