"""When a signal ends the run: in good order, so that all machines go before the process does."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import Final

from vmharness.hooks import Lifecycle, Session

__all__ = ["Signals", "Terminated"]

# SIGINT is here for processes in which Python's own handler, which does the same, is not installed.
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM))

type_handler = Callable[[int, FrameType | None], object]


class Terminated(KeyboardInterrupt):
    """A signal asked the process to end; it travels as an interrupt does."""


class Signals(Lifecycle):
    """Turns SIGTERM and SIGHUP into an orderly end, like an interrupt.

    A previous handler is called first; one that ignores the signal stays. When all is cleaned up, and
    the previous one was the system's default, the signal is sent again, so that the parent sees death
    by signal.
    """

    def __init__(self) -> None:
        self._previous: dict[int, object] = {}
        self._received: list[int] = []

    def opened(self, session: Session) -> None:
        """Install the handlers; only the main thread may."""
        for number in set(_SIGNALS):
            previous = signal.getsignal(number)
            # Ignored on purpose (nohup, a background job), or Python's own interrupt: both stay.
            if previous in (signal.SIG_IGN, signal.default_int_handler, None):
                continue
            try:
                signal.signal(number, self._handle)
            except ValueError:
                session.report("signals are not handled: the session was opened outside the main thread")
                return
            self._previous[number] = previous

    def _handle(self, number: int, frame: FrameType | None) -> None:
        previous = self._previous.get(number)
        self._received.append(number)
        try:
            if callable(previous):
                previous(number, frame)
        finally:
            raise Terminated(signal.Signals(number).name)

    def closed(self, session: Session) -> None:
        """Restore the handlers, and die of the signal if that was its default."""
        del session
        for number, previous in self._previous.items():
            if signal.getsignal(number) == self._handle:
                signal.signal(number, previous)  # type: ignore[arg-type]
        for number in self._received[:1]:
            if self._previous.get(number) == signal.SIG_DFL:
                os.kill(os.getpid(), number)
