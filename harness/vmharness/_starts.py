"""Which processes are started by vmharness itself: those don't count as a test's. It knows no process."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

__all__ = ["is_own_start", "own_start"]

_here: Final = threading.local()


@contextmanager
def own_start() -> Generator[None]:
    """Let what this thread starts in a block be vmharness's own."""
    before = is_own_start()
    _here.own = True
    try:
        yield
    finally:
        _here.own = before


def is_own_start() -> bool:
    """Whether this thread starts something for vmharness itself."""
    return getattr(_here, "own", False)
