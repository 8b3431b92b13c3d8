"""The command `diamond`."""
