"""Asking what may never answer, for a plugin hangs, or its engine does. It knows nothing of what is asked."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from vmharness._threads import begin_thread

__all__ = ["PATIENCE_S", "Asked"]

T = TypeVar("T")

# What says nothing for so long doesn't answer, in seconds.
PATIENCE_S: Final = 30.0


class Asked(Generic[T]):
    """A question, asked in a thread from now on.

    Args:
        name: Of what, for the thread's name.
        ask: Returns the answer; must not raise.
    """

    def __init__(self, name: str, ask: Callable[[], T]) -> None:
        self._answers: list[T] = []
        self._join = begin_thread(f"ask-{name}", lambda: self._answers.append(ask()))

    def wait(self, until: float) -> T | None:
        """Return the answer, or None if it hasn't come by then, in seconds of the monotonic clock."""
        self._join(max(0.0, until - time.monotonic()))
        return self._answers[0] if self._answers else None
