"""A clock that stands still until somebody waits; it knows nothing but the clock's interface."""

from __future__ import annotations

import threading

from vmharness._clock import Clock

__all__ = ["FakeClock"]


class FakeClock(Clock):
    """Time for tests: it begins now, and passes only by `sleep` and `jump`.

    Args:
        now: The wall clock's first reading, in seconds since the epoch; None = the real one.
    """

    def __init__(self, now: float | None = None) -> None:
        self._wall = Clock().time() if now is None else now
        self._steady = 0.0
        self.slept: list[float] = []

    def time(self) -> float:
        """Return the wall clock, in seconds since the epoch."""
        return self._wall

    def monotonic(self) -> float:
        """Return the steady clock, in seconds."""
        return self._steady

    def sleep(self, seconds: float) -> None:
        """Let time pass at once."""
        self.slept.append(seconds)
        self._wall += seconds
        self._steady += seconds

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Let time pass at once, unless the event is set."""
        if not event.is_set():
            self.sleep(seconds)
        return event.is_set()

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward, or back if negative, as a person or NTP may."""
        self._wall += seconds
