"""Noticing a call that doesn't return: what it is, for how long, and where; it knows not what is called.

One thread looks from time to time, so that a call costs no more than an entry in a dictionary. It ends when
it finds nothing under way, and steps aside while the process forks: Python warns of forks beside threads.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import Final, TypeVar

from vmharness._threads import begin_thread

__all__ = ["Watch"]

T = TypeVar("T")

_log = logging.getLogger("vmharness.session")

# A thread that is just telling something is not waited for longer than that before a fork, in seconds.
_STEP_ASIDE_S: Final = 1.0


class _Call:
    """A call that is under way."""

    __slots__ = ("file", "said", "since", "what")

    def __init__(self, what: str, file: str) -> None:
        self.what: Final = what
        self.file: Final = file
        self.since: Final = time.monotonic()
        self.said = False


class Watch:
    """Tells of calls that are under way for too long, each once. Safe from threads.

    Args:
        tell: Called in the watch's own thread with what hangs, for how many seconds, and where it is.
        patience_s: How long a call may take untold, in seconds.
    """

    def __init__(self, tell: Callable[[str, float, str], None], *, patience_s: float) -> None:
        self._tell = tell
        self._patience_s = patience_s
        # The innermost call of each thread.
        self._calls: dict[int, _Call] = {}
        self._starting = threading.Lock()
        self._stop: threading.Event | None = None
        self._join: Callable[[float], None] | None = None
        self._ended = False
        _watches.add(self)

    def __del__(self) -> None:
        """End the thread of a watch that nobody ended."""
        if self._stop is not None:
            self._stop.set()

    def call(self, what: str, file: str, task: Callable[[], T]) -> T:
        """Do the task, watched.

        Args:
            what: Says what is called.
            file: Where its code is: the place that is told is the innermost one in that file.
            task: What is called. It may call something that is watched in its turn.
        """
        me = threading.get_ident()
        outer = self._calls.get(me)
        try:
            self._calls[me] = _Call(what, file)
            if self._stop is None:
                self._begin()
            return task()
        finally:
            if outer is None:
                self._calls.pop(me, None)
            else:
                self._calls[me] = outer

    def end(self) -> None:
        """Watch no more; a call from now on goes unwatched."""
        self._ended = True
        self.step_aside()

    def step_aside(self) -> None:
        """End the thread; the next call begins another."""
        stop, join = self._stop, self._join
        self._stop = self._join = None
        if stop is not None:
            stop.set()
        if join is not None:
            join(_STEP_ASIDE_S)

    def come_back(self) -> None:
        """Go on after a fork with the calls that are under way."""
        if self._calls:
            self._begin()

    def begin_anew(self) -> None:
        """Forget, in a forked child, the threads that aren't there, and what they held."""
        self._starting = threading.Lock()
        me = threading.get_ident()
        self._calls = {thread: call for thread, call in self._calls.items() if thread == me}

    def _begin(self) -> None:
        with self._starting:
            if self._stop is not None or self._ended:
                return
            stop = threading.Event()
            try:
                self._join = begin_thread("watch", _looker(weakref.ref(self), stop, self._patience_s / 4))
            except RuntimeError:
                return  # no more threads can be had: what is called is called all the same
            self._stop = stop

    def look(self, stop: threading.Event) -> bool:
        """Tell of what hangs; False if nothing is under way, and so the thread that asks shall end."""
        with self._starting:
            if not self._calls:
                self._stop = None
                if not self._calls:
                    return False
                self._stop = stop  # one has begun meanwhile, and relied on this thread
        for thread, call in list(self._calls.items()):
            seconds = time.monotonic() - call.since
            if seconds < self._patience_s or call.said:
                continue
            call.said = True
            try:
                self._tell(call.what, seconds, _place(thread, call.file))
            except Exception:
                _log.exception("cannot tell of %s", call.what)
        return True


def _looker(watch: weakref.ref[Watch], stop: threading.Event, pause: float) -> Callable[[], None]:
    """Return what looks again and again, also for a watch that nobody ends: it goes with its owner."""

    def look() -> None:
        while not stop.wait(pause):
            found = watch()
            if found is None or not found.look(stop):
                return
            del found

    return look


def _place(thread: int, file: str) -> str:
    """Return where a thread is, as FILE:LINE: in that file if it is there at all."""
    innermost = frame = sys._current_frames().get(thread)  # pyright: ignore[reportPrivateUsage]
    while frame is not None and frame.f_code.co_filename != file:
        frame = frame.f_back
    frame = frame or innermost
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else "an unknown place"


_watches: weakref.WeakSet[Watch] = weakref.WeakSet()


def _before_fork() -> None:
    for watch in list(_watches):
        watch.step_aside()


def _after_fork_in_parent() -> None:
    for watch in list(_watches):
        watch.come_back()


def _after_fork_in_child() -> None:
    for watch in list(_watches):
        watch.begin_anew()


os.register_at_fork(
    before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child
)
