"""A call that doesn't return is told of: what, how long, where; a watch stands in nobody's way."""

from __future__ import annotations

import gc
import inspect
import os
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator

import pytest

from vmharness._watch import Watch

# A test that fails waits so long, in seconds; one that passes doesn't.
BOUND_S = 30.0
AT_ONCE = 0.001
NEVER = 3600.0


class Told:
    """What a watch told, and when it did."""

    def __init__(self) -> None:
        self.said: list[tuple[str, float, str]] = []
        self.news = threading.Event()

    def __call__(self, what: str, seconds: float, place: str) -> None:
        self.said.append((what, seconds, place))
        self.news.set()


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def make(told: Told) -> Iterator[Callable[[float], Watch]]:
    made: list[Watch] = []

    def make(patience_s: float) -> Watch:
        made.append(Watch(told, patience_s=patience_s))
        return made[-1]

    yield make
    for watch in made:
        watch.end()


def watchers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "vmharness-watch"]


def test_a_call_that_hangs_is_told_of_with_its_place(told: Told, make: Callable[[float], Watch]) -> None:
    lines: list[int] = []

    def hang() -> bool:
        frame = inspect.currentframe()
        assert frame is not None
        lines.append(frame.f_lineno + 1)
        return told.news.wait(BOUND_S)

    assert make(AT_ONCE).call("something", __file__, hang)

    what, seconds, place = told.said[0]
    assert what == "something"
    assert seconds >= AT_ONCE
    assert place == f"{__file__}:{lines[0]}"


def test_where_the_file_has_no_part_in_it_the_innermost_place_is_told(
    told: Told, make: Callable[[float], Watch]
) -> None:
    make(AT_ONCE).call("something", "/nowhere.py", lambda: told.news.wait(BOUND_S))

    assert told.said[0][2].partition(":")[0] == threading.__file__


def test_each_is_told_of_once(told: Told, make: Callable[[float], Watch]) -> None:
    watch = make(AT_ONCE)

    def two() -> None:
        assert told.news.wait(BOUND_S)
        told.news.clear()
        # The watch looks at it again before it sees this one.
        watch.call("inner", __file__, lambda: told.news.wait(BOUND_S))

    watch.call("outer", __file__, two)

    assert [what for what, _, _ in told.said] == ["outer", "inner"]


def test_after_an_inner_call_the_outer_one_is_watched_again() -> None:
    outer = threading.Event()

    def tell(what: str, seconds: float, place: str) -> None:
        if what == "outer":
            outer.set()

    watch = Watch(tell, patience_s=AT_ONCE)

    def two() -> bool:
        watch.call("inner", __file__, lambda: None)
        return outer.wait(BOUND_S)

    assert watch.call("outer", __file__, two)
    watch.end()


def test_a_call_in_another_thread_is_told_of_too(told: Told, make: Callable[[float], Watch]) -> None:
    watch = make(AT_ONCE)
    thread = threading.Thread(target=lambda: watch.call("there", __file__, lambda: told.news.wait(BOUND_S)))
    thread.start()
    thread.join()

    assert [what for what, _, _ in told.said] == ["there"]


def test_what_is_raised_goes_through_and_is_under_way_no_more(
    told: Told, make: Callable[[float], Watch]
) -> None:
    watch = make(AT_ONCE)

    def fail() -> None:
        raise ZeroDivisionError("oops")

    with pytest.raises(ZeroDivisionError, match="oops"):
        watch.call("failing", __file__, fail)
    watch.call("hanging", __file__, lambda: told.news.wait(BOUND_S))

    assert [what for what, _, _ in told.said] == ["hanging"]


def test_one_thread_watches_all_calls_and_none_after_the_end(make: Callable[[float], Watch]) -> None:
    watch, before = make(NEVER), watchers()
    for _ in range(100):
        watch.call("quick", __file__, lambda: None)

    assert len(watchers()) == len(before) + 1
    watch.end()
    watch.call("late", __file__, lambda: None)
    assert watchers() == before


def test_the_thread_ends_where_it_finds_nothing_under_way_and_comes_back(
    told: Told, make: Callable[[float], Watch]
) -> None:
    watch = make(AT_ONCE)
    watch.call("quick", __file__, lambda: None)
    for thread in watchers():
        thread.join(BOUND_S)
        assert not thread.is_alive()

    watch.call("hanging", __file__, lambda: told.news.wait(BOUND_S))

    assert [what for what, _, _ in told.said] == ["hanging"]


def test_a_watch_that_nobody_ends_goes_with_its_owner(told: Told) -> None:
    before = watchers()
    watch = Watch(told, patience_s=NEVER)
    watch.call("quick", __file__, lambda: None)
    (thread,) = set(watchers()) - set(before)
    gone = weakref.ref(watch)

    del watch
    gc.collect()
    thread.join(BOUND_S)

    assert gone() is None
    assert not thread.is_alive()


def test_the_thread_steps_aside_for_a_fork_and_comes_back(told: Told, make: Callable[[float], Watch]) -> None:
    watch, others = make(NEVER), set(watchers())

    def fork() -> tuple[threading.Thread, int, threading.Thread]:
        (before,) = set(watchers()) - others
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # newer Pythons warn of threads beside a fork
            child = os.fork()
        if child == 0:  # pragma: no cover
            os._exit(0)
        (after,) = set(watchers()) - others
        return before, os.waitpid(child, 0)[1], after

    before, status, after = watch.call("forking", __file__, fork)

    assert status == 0
    assert not before.is_alive()
    assert after is not before


def test_a_forked_child_watches_its_own_calls(told: Told, make: Callable[[float], Watch]) -> None:
    watch = make(AT_ONCE)
    watch.call("quick", __file__, lambda: None)

    child = os.fork()
    if child == 0:  # pragma: no cover
        os._exit(0 if watch.call("in the child", __file__, lambda: told.news.wait(BOUND_S)) else 1)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not told.said


def test_a_watch_that_cannot_tell_goes_on(make: Callable[[float], Watch]) -> None:
    told: list[str] = []
    second = threading.Event()

    def tell(what: str, seconds: float, place: str) -> None:
        told.append(what)
        if what == "second":
            second.set()
        raise ZeroDivisionError

    watch = Watch(tell, patience_s=AT_ONCE)
    watch.call("first", __file__, lambda: watch.call("second", __file__, lambda: second.wait(BOUND_S)))
    watch.end()

    assert "second" in told
