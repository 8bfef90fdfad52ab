"""Several calls at once: all results, in order, and no thread afterwards."""

from __future__ import annotations

import re
import threading

import pytest

from vmharness._threads import run_parallel


def ours() -> list[str]:
    """Return the threads of calls at once that there are."""
    return [thread.name for thread in threading.enumerate() if re.fullmatch(r"vmharness-\d+", thread.name)]


def test_results_are_in_the_order_of_the_items_whatever_ends_first() -> None:
    ended = {number: threading.Event() for number in range(4)}

    def task(number: int) -> int:
        if number + 1 in ended:  # the last ends first
            assert ended[number + 1].wait(10)
        ended[number].set()
        return number * number

    assert run_parallel(task, [0, 1, 2, 3]) == [0, 1, 4, 9]


def test_nothing_to_do_starts_nothing() -> None:
    assert run_parallel(lambda item: item, list[int]()) == []


def test_equal_items_are_calls_of_their_own() -> None:
    calls = iter([1, 2])

    assert sorted(run_parallel(lambda _: next(calls), ["a", "a"])) == [1, 2]


@pytest.mark.parametrize("limit", [1, 3])
def test_no_more_than_the_limit_are_under_way(limit: int) -> None:
    lock = threading.Lock()
    full = threading.Barrier(limit)
    under_way = most = 0

    def task(item: int) -> int:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        full.wait(10)  # so many are under way at once, or this breaks
        with lock:
            under_way -= 1
        return item

    items = list(range(4 * limit))

    assert run_parallel(task, items, limit=limit) == items
    assert most == limit


def test_an_exception_is_raised_when_all_have_ended() -> None:
    struck = threading.Event()
    ended: list[str] = []

    def task(item: str) -> None:
        if item == "bad":
            struck.set()
            raise ZeroDivisionError("oops")
        assert struck.wait(10)
        ended.append(item)

    with pytest.raises(ZeroDivisionError, match="oops"):
        run_parallel(task, ["a", "bad", "b", "c"], limit=2)

    assert sorted(ended) == ["a", "b", "c"]
    assert not ours()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_would_end_a_process_is_raised_in_the_caller_not_lost_in_a_thread(
    error: type[BaseException],
) -> None:
    def task(item: int) -> None:
        raise error(item)

    with pytest.raises(error):
        run_parallel(task, [1])


def test_threads_are_daemons_under_our_name_and_none_stays() -> None:
    seen: set[tuple[bool, bool]] = set()

    def task(_: int) -> None:
        thread = threading.current_thread()
        seen.add((thread.daemon, thread.name.startswith("vmharness-")))

    run_parallel(task, list(range(40)))

    assert seen == {(True, True)}
    assert not ours()
