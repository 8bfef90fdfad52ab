"""What commands do that must clean up before they end: signals end them in good order, as Ctrl+C does."""

from __future__ import annotations

import signal
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Stopped", "stopping"]


class Stopped(KeyboardInterrupt):
    """A signal asked the command to end; it travels as an interrupt does.

    Attributes:
        number: The signal's.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextmanager
def stopping() -> Generator[None]:
    """Let SIGTERM and SIGHUP raise Stopped in the block."""

    def stop(number: int, frame: FrameType | None) -> None:
        del frame
        raise Stopped(number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
