"""Ctrl-C and a polite kill (SIGTERM): both end a command in the same way."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def on_signal(handler: Callable[[int, object], None]) -> Iterator[None]:
    """Let `handler` take both signals while the context lasts."""
    # Ctrl-C by itself would be ignored in a process that a script started in the background.
    before = {number: signal.signal(number, handler) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)


def as_interrupt(signum: int, frame: object) -> None:
    """Stop at once.

    Raises:
        KeyboardInterrupt: always.
    """
    raise KeyboardInterrupt


class StopRequest:
    """Remembers the first signal, so that work can end where it can go on later; the second one stops at once."""

    def __init__(self) -> None:
        self._asked = False

    def asked(self) -> bool:
        """Whether to stop."""
        return self._asked

    def ask(self, signum: int, frame: object) -> None:
        """Ask to stop.

        Raises:
            KeyboardInterrupt: for the second time.
        """
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
        # One step may take minutes. `print` is not safe here: the signal may have come within another one.
        os.write(2, b"diamond: stopping after this step; once more stops at once, without a checkpoint\n")
