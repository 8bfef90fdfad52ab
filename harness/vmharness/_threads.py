"""Asking an engine several things at once, or while others go on; the one module that starts threads.

The threads are daemons and none is alive while nothing is under way: a pool's threads would fail at
interpreter exit, and hold a second Ctrl+C until the slowest call ends. It knows no engine.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

__all__ = ["begin_thread", "run_parallel", "start_thread"]

T = TypeVar("T")
R = TypeVar("R")

# Deletes wait for the engine far more than they work: eight at once cost LXD as much as one.
_LIMIT: Final = 16


def run_parallel(task: Callable[[T], R], items: Sequence[T], *, limit: int = _LIMIT) -> list[R]:
    """Call `task` with each item, several at once, and return the results in the items' order.

    A KeyboardInterrupt in the calling thread ends the wait, not the calls that are under way.

    Args:
        task: Must not raise: what goes wrong is part of its result.
        items: One call each.
        limit: The most calls at once.

    Raises:
        BaseException: The first that a task raised all the same, after all have ended.
    """
    results: dict[int, R] = {}
    raised: list[BaseException] = []
    left = list(enumerate(items))[::-1]

    def work() -> None:
        while True:
            try:
                index, item = left.pop()
            except IndexError:
                return
            try:
                results[index] = task(item)
            except BaseException as exc:
                raised.append(exc)

    threads = [
        threading.Thread(target=work, name=f"vmharness-{n}", daemon=True)
        for n in range(min(limit, len(items)))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        raise raised[0]
    return [results[index] for index in range(len(items))]


def start_thread(name: str, task: Callable[[], None]) -> None:
    """Call `task` in a thread that the process's end doesn't wait for.

    Args:
        name: What for, in a word.
        task: Must not raise.
    """
    begin_thread(name, task)


def begin_thread(name: str, task: Callable[[], None]) -> Callable[[float], None]:
    """Do so, and return what waits for the task's end, but no longer than so many seconds."""
    thread = threading.Thread(target=task, name=f"vmharness-{name}", daemon=True)
    thread.start()
    return thread.join
