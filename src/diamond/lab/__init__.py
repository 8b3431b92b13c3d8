"""Investigations: studies, the Atari 100k benchmark, speed. Only the command line imports them."""
