"""Signals wait while something must not be torn apart: real ones, sent to this very process."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from vmharness._interrupts import Hold, held


class Struck(BaseException):
    """What the handlers of these tests raise."""


@pytest.fixture(params=[signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def number(request: pytest.FixtureRequest) -> Iterator[int]:
    def strike(number: int, frame: object) -> None:
        raise Struck(number)

    before = signal.signal(request.param, strike)
    yield request.param
    signal.signal(request.param, before)


def strike(number: int) -> None:
    os.kill(os.getpid(), number)


def test_a_signal_waits_for_the_blocks_end(number: int) -> None:
    done: list[str] = []

    with pytest.raises(Struck), Hold():  # noqa: PT012 - the block is what is tested
        strike(number)
        done.append("the rest of the block")

    assert done


def test_outside_a_block_it_strikes_at_once(number: int) -> None:
    hold = Hold()
    with hold:
        pass

    with pytest.raises(Struck):
        strike(number)


def test_in_nested_blocks_it_waits_for_the_outermost(number: int) -> None:
    hold, done = Hold(), list[str]()

    with pytest.raises(Struck), hold:  # noqa: PT012 - the block is what is tested
        with hold:
            strike(number)
        done.append("the rest of the outer block")

    assert done


def test_it_strikes_in_place_of_what_the_block_raised(number: int) -> None:
    with pytest.raises(Struck) as caught, Hold():  # noqa: PT012 - the block is what is tested
        strike(number)
        raise OSError("disk full")

    assert isinstance(caught.value.__context__, OSError)


def test_all_that_waited_is_delivered() -> None:
    numbers = (signal.SIGTERM, signal.SIGHUP)
    struck: list[int] = []

    def handle(number: int, frame: object) -> None:
        struck.append(number)
        raise Struck

    before = [signal.signal(number, handle) for number in numbers]
    try:
        with pytest.raises(Struck), Hold():  # noqa: PT012 - the block is what is tested
            for number in numbers:
                strike(number)
        assert sorted(struck) == sorted(numbers)
        assert [signal.getsignal(number) for number in numbers] == [handle, handle]
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def test_the_handlers_are_there_again(number: int) -> None:
    mine = signal.getsignal(number)

    with Hold():
        assert signal.getsignal(number) is not mine

    assert signal.getsignal(number) is mine


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Hold():
            strike(signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_another_thread_holds_nothing_off(number: int) -> None:
    entered, leave = threading.Event(), threading.Event()

    def work() -> None:
        with Hold():
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=work)
    thread.start()
    assert entered.wait(10)
    try:
        with pytest.raises(Struck):
            strike(number)
    finally:
        leave.set()
        thread.join()


def test_a_child_forked_in_a_block_hears_signals(number: int) -> None:
    with held:  # the process's own, which a fork resets
        child = os.fork()
        if not child:  # pragma: no cover - another process
            try:
                strike(number)
                os._exit(1)
            except Struck:
                os._exit(0)
            finally:
                os._exit(2)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
