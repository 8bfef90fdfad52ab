"""Interrupts of a run are counted by what they raised, each once."""

from __future__ import annotations

from vmharness.pytest_plugin._interrupts import Interrupts


def test_one_that_is_noted_twice_counts_once() -> None:
    interrupts, error = Interrupts(), KeyboardInterrupt()
    interrupts.note(error)
    interrupts.note(error)

    assert interrupts.count() == 1


def test_one_that_struck_while_the_first_was_handled_counts_though_nobody_noted_it() -> None:
    interrupts, counts = Interrupts(), list[int]()
    try:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            raise KeyboardInterrupt from None
        finally:
            counts.append(interrupts.count())
    except KeyboardInterrupt:
        pass

    assert counts == [2]


def test_other_errors_are_no_interrupts() -> None:
    interrupts = Interrupts()
    try:
        raise ValueError
    except ValueError:
        assert interrupts.count() == 0
