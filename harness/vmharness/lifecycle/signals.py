"""When a signal ends the run: in good order, so that all machines go before the process does."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from vmharness.hooks import Lifecycle, Session

__all__ = ["Signals", "Terminated"]

# SIGINT is here for processes in which Python's own handler, which does the same, is not installed.
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM))

_Handler = Callable[[int, FrameType | None], Any] | int | signal.Handlers


class Terminated(KeyboardInterrupt):
    """A signal asked the process to end; it travels as an interrupt does."""


class Signals(Lifecycle):
    """Turns SIGTERM and SIGHUP into an orderly end, like an interrupt.

    A previous handler is called first; one that ignores the signal stays. When all is cleaned up, and
    the previous one was the system's default, the signal is sent again, so that the parent sees death
    by signal.
    """

    def __init__(self) -> None:
        self._previous: dict[int, _Handler] = {}
        self._received: list[int] = []
        self._pid = os.getpid()

    def opened(self, session: Session) -> None:
        """Install the handlers; only the main thread may."""
        try:
            self.install()
        except ValueError:
            session.report("signals are not handled: the session was opened outside the main thread")

    def closed(self, session: Session) -> None:
        """Restore the handlers, and die of the signal if that was its default."""
        del session
        self.restore()

    def install(self) -> None:
        """Handle the signals from now on; raise ValueError outside the main thread."""
        for number in sorted(set(_SIGNALS)):
            previous = signal.getsignal(number)
            # Ignored on purpose (nohup, a background job), or Python's own interrupt: both stay.
            if previous not in (signal.SIG_IGN, signal.default_int_handler, None):
                signal.signal(number, self._handle)
                self._previous[number] = previous

    def restore(self) -> None:
        """Restore the handlers; if one of a received signal was the system's default, die of it."""
        previous, self._previous = self._previous, {}
        for number, handler in previous.items():
            if signal.getsignal(number) == self._handle:
                signal.signal(number, handler)
        for number in self._received[:1]:
            if previous.get(number) == signal.SIG_DFL:
                os.kill(os.getpid(), number)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        previous = self._previous.get(number)
        if os.getpid() != self._pid and previous == signal.SIG_DFL:
            # A forked child has nothing to clean up here, and its parent waits for its death.
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        self._received.append(number)
        cause: BaseException | None = None
        try:
            if callable(previous):
                previous(number, frame)
        except BaseException as exc:
            cause = exc
        # Also in place of what it raised: a SystemExit would end one test, not the run.
        raise Terminated(signal.Signals(number).name) from cause
