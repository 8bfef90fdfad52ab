"""The cells that stand for the matrix: thirty on a real engine, on a simulated one what all pairs take."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from faultlab.cells import Backend, Cell, Death, Knob, Layer, Moment, Runner, cells, doubled
from faultlab.selection import LIMIT, Pair, pairs, selected, selection

REAL = (Backend.DOCKER, Backend.LXD)
KILLED = Cell(Death.KILL, Moment.BODY, Runner.PLAIN)
KILLED_TWICE = Cell(Death.KILL_BOTH, Moment.BODY, Runner.PLAIN)
INTERRUPTED = Cell(Death.SIGINT, Moment.BODY, Runner.PLAIN)
INTERRUPTED_ELSEWHERE = Cell(Death.SIGINT, Moment.SETUP, Runner.XDIST)


def covered(chosen: Iterable[Cell]) -> frozenset[Pair]:
    return frozenset[Pair]().union(*map(pairs, chosen))


def test_a_cell_covers_three_pairs() -> None:
    assert pairs(KILLED) == {
        frozenset({Death.KILL, Moment.BODY}),
        frozenset({Death.KILL, Runner.PLAIN}),
        frozenset({Moment.BODY, Runner.PLAIN}),
    }


def test_what_has_most_new_values_comes_first() -> None:
    assert selection([INTERRUPTED, KILLED, INTERRUPTED_ELSEWHERE], first=[KILLED], limit=2) == [
        KILLED,
        INTERRUPTED_ELSEWHERE,
    ]


def test_of_equals_the_most_severe_comes_first() -> None:
    assert selection([INTERRUPTED, KILLED, KILLED_TWICE]) == [KILLED_TWICE, KILLED, INTERRUPTED]


def test_what_others_cover_comes_last() -> None:
    elsewhere = [pair for pair in pairs(KILLED_TWICE) if Death.KILL_BOTH in pair]

    assert selection([KILLED_TWICE, INTERRUPTED], first=[KILLED], covered=elsewhere) == [
        KILLED,
        INTERRUPTED,
        KILLED_TWICE,
    ]


def test_each_engine_has_at_most_thirty_cells_that_make_sense_and_each_value() -> None:
    for backend in REAL:
        chosen = selected(backend)
        assert len(set(chosen)) == len(chosen) <= LIMIT
        assert set(chosen) <= set(cells(backend))
        assert {cell.death for cell in chosen} == set(Death)
        assert {cell.moment for cell in chosen} == set(Moment)
        assert {cell.runner for cell in chosen} == set(Runner)


def test_each_moment_meets_each_runner_on_both_engines() -> None:
    for backend in REAL:
        there = {pair for pair in covered(cells(backend)) if not any(isinstance(v, Death) for v in pair)}
        assert there <= covered(selected(backend))


def test_together_the_engines_cover_more() -> None:
    docker, lxd = map(selected, REAL)
    of_both = covered(docker) | covered(lxd)

    # Each cell of LXD's adds a pair, but for those that Docker has as well: an engine that is killed.
    assert len(of_both - covered(docker)) >= len(set(lxd) - set(docker))
    # Each death meets each runner that makes sense.
    runners = {pair for pair in covered(cells(Backend.LXD)) if any(isinstance(v, Runner) for v in pair)}
    assert runners <= of_both


def test_on_a_simulated_engine_who_cleans_up_is_a_pair_too() -> None:
    cell = Cell(Death.KILL_BOTH, Moment.BODY, Runner.PLAIN, Knob.SLOW)

    assert frozenset({Knob.SLOW, Layer.NEXT}) in pairs(cell)
    assert len(pairs(cell)) == 7


def test_what_is_wanted_most_comes_before_other_pairs() -> None:
    wanted = [pair for pair in pairs(INTERRUPTED_ELSEWHERE) if Death.SIGINT in pair]
    also = Cell(Death.SIGINT, Moment.SETUP, Runner.PLAIN)
    first = [INTERRUPTED, Cell(Death.KILL, Moment.SETUP, Runner.XDIST)]

    assert selection([also, INTERRUPTED_ELSEWHERE], first=first, wanted=wanted)[2] == INTERRUPTED_ELSEWHERE


def test_as_many_are_chosen_as_cover_what_is_wanted() -> None:
    wanted: list[Pair] = [frozenset({Death.SIGINT, Runner.XDIST}), frozenset({Death.KILL, Moment.BODY})]
    also = Cell(Death.KILL_BOTH, Moment.END, Runner.PLAIN)

    chosen = selection([KILLED, also, INTERRUPTED_ELSEWHERE], limit=None, wanted=wanted)

    assert set(chosen) == {KILLED, INTERRUPTED_ELSEWHERE}


def test_an_orbstack_of_two_kinds_covers_the_pairs_of_both() -> None:
    cell = Cell(Death.KILL, Moment.BODY, Runner.PLAIN, Knob.SLOW, Knob.BUSY)

    assert pairs(cell) == pairs(replace(cell, also=None)) | pairs(replace(cell, knob=Knob.BUSY, also=None))


def test_creates_and_something_else_may_be_unusual_at_once_where_each_may() -> None:
    possible = set(cells(Backend.ORBSTACK))
    doubles = [double for cell in possible for double in doubled(cell)]

    assert {double.knob for double in doubles} == {
        *(Knob.SLOW, Knob.CANCEL, Knob.RETRIED, Knob.LEFTOVER, Knob.OLD)
    }
    for double in doubles:
        assert {replace(double, also=None), replace(double, knob=double.also, also=None)} <= possible


def test_each_kind_of_orbstack_meets_each_death_moment_runner_and_layer() -> None:
    chosen = selected(Backend.ORBSTACK)
    possible = cells(Backend.ORBSTACK)

    assert len(set(chosen)) == len(chosen)
    assert set(chosen) <= {*possible, *(double for cell in possible for double in doubled(cell))}
    assert {value for cell in chosen for value in cell.values} == {*Death, *Moment, *Runner, *Knob} - {
        Knob.STUCK
    }
    # So does each runner with each death and each moment.
    every = {
        pair for pair in covered(possible) if any(isinstance(value, Knob | Runner | Layer) for value in pair)
    }
    assert every <= covered(chosen)


def test_on_the_fake_engine_all_are_played() -> None:
    assert selected(Backend.FAKE) == cells()
