"""Lets the threads of one process go one after another, so that the same choices bring the same world about.

It knows only how vmharness names its threads, and that each group of them is started by one that waits.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Final
from weakref import WeakSet

__all__ = ["Turns"]

_OURS: Final = "vmharness-"
# Looks at plugins' hooks while one is under way, deals with no engine, and ends after what waits for us.
_WATCH: Final = "vmharness-watch"
_LOOK_S: Final = 0.0005


class Turns:
    """Whose turn it is: first the threads that deal with an engine, within each those that delete there."""

    def __init__(self) -> None:
        self._engines: Final = WeakSet[threading.Thread]()

    def begin_engine(self) -> None:
        """Wait, in a thread that begins to deal with an engine, until those that began before have ended."""
        me = threading.current_thread()
        if me.name.startswith(_OURS):
            self._engines.add(me)
            for other in _before(me):
                other.join()

    def begin_call(self) -> None:
        """Wait, in a thread that one of those has started, until its elder siblings have ended."""
        me = threading.current_thread()
        if me.name.startswith(_OURS) and me not in self._engines:
            for other in _before(me):
                # One that has only just been started may have yet to say that it deals with an engine.
                while other.is_alive() and other not in self._engines:
                    other.join(_LOOK_S)


def _before(me: threading.Thread) -> Iterator[threading.Thread]:
    for other in threading.enumerate():  # in the order in which they were started
        if other is me:
            return
        if other.name.startswith(_OURS) and other.name != _WATCH:
            yield other
