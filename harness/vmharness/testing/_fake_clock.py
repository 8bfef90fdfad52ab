"""A clock that stands still until somebody waits; it knows nothing but the clock's interface."""

from __future__ import annotations

import threading

from vmharness._clock import Clock

__all__ = ["FakeClock"]


class FakeClock(Clock):
    """Time for tests: it begins now, and passes only by `sleep` and `jump`. Threads may share one.

    Args:
        now: The wall clock's first reading, in seconds since the epoch; None = the real one.

    Attributes:
        slept: How long each sleep was, in seconds.
    """

    def __init__(self, now: float | None = None) -> None:
        self._lock = threading.Lock()
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
        """Let time pass at once; a time that is over already changes nothing.

        Args:
            seconds: How much.
        """
        with self._lock:
            self.slept.append(seconds)
            self._wall += max(0.0, seconds)
            self._steady += max(0.0, seconds)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Let time pass at once, unless the event is set; say whether it is.

        Args:
            event: What is waited for.
            seconds: For how long.
        """
        if not event.is_set():
            self.sleep(seconds)
        return event.is_set()

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward, or back if negative, as a person or NTP may.

        Args:
            seconds: How far.
        """
        with self._lock:
            self._wall += seconds
