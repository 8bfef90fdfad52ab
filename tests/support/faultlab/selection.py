"""Which cells stand for all of them where there isn't time for all; it plays none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from heapq import heapify, heappop, heapreplace
from itertools import combinations
from typing import Final

from faultlab.cells import Backend, Cell, Death, Knob, Layer, Moment, Runner, cells, doubled

__all__ = ["LIMIT", "Pair", "pairs", "selected", "selection"]

# How many cells a real engine gets.
LIMIT: Final = 30

Value = Death | Moment | Runner | Knob | Layer
Pair = frozenset[Value]

# The later the layer that must clean up, the worse the death.
_SEVERITY: Final = {layer: n for n, layer in enumerate(Layer)}


@cache
def pairs(cell: Cell) -> frozenset[Pair]:
    """Return the pairs of values that a cell covers; on a simulated engine also who cleans up there."""
    values: Sequence[Value] = (cell.death, cell.moment, cell.runner)
    found = set(map(frozenset[Value], combinations(values, 2)))
    for knob in cell.knobs:
        found |= {frozenset[Value]({knob, value}) for value in (*values, cell.layer)}
    return frozenset(found)


def selection(
    candidates: Iterable[Cell],
    *,
    limit: int | None = LIMIT,
    covered: Iterable[Pair] = (),
    wanted: Iterable[Pair] = (),
    first: Iterable[Cell] = (),
) -> Sequence[Cell]:
    """Choose cells, one at a time: the one that adds most to those before it.

    First counts how many values it is the first to have, so that each value comes in; then how many pairs
    that are wanted most; then how many that neither these nor others cover; then how many that these don't;
    then how severe the death is; at last the order of the candidates.

    Args:
        candidates: The cells that make sense.
        limit: The most cells; None for as many as it takes to cover what is wanted most.
        covered: The pairs that others cover, as on another engine.
        wanted: The pairs that are wanted most.
        first: Cells to begin with, whatever they add.
    """
    elsewhere, most = frozenset(covered), frozenset(wanted)
    chosen = list(first)
    left = [cell for cell in candidates if cell not in chosen]
    values = {value for cell in chosen for value in cell.values}
    here = frozenset[Pair]().union(*map(pairs, chosen))

    def rank(place: int) -> tuple[int, ...]:
        cell = left[place]
        new = pairs(cell) - here
        # In a test's body, for a sweep is left to the next session whatever the death.
        severity = _SEVERITY[replace(cell, moment=Moment.BODY).layer]
        fresh = len(set(cell.values) - values)
        return -fresh, -len(new & most), -len(new - elsewhere), -len(new), -severity, place

    # What a cell adds never grows. So one that adds as much as when it was last looked at is the best.
    ranks = [rank(place) for place in range(len(left))]
    heapify(ranks)
    while ranks and (not most <= here if limit is None else len(chosen) < limit):
        place = ranks[0][-1]
        if (now := rank(place)) != ranks[0]:
            heapreplace(ranks, now)
            continue
        heappop(ranks)
        best = left[place]
        chosen.append(best)
        values.update(best.values)
        here |= pairs(best)
    return chosen


@cache
def selected(backend: Backend) -> Sequence[Cell]:
    """Return the cells that are always played on an engine: on the fake one all; LXD's complete Docker's.

    On the simulated OrbStack each kind of it meets each death, moment, runner and layer that it can meet, two
    kinds at once where that saves a cell.
    """
    if backend is Backend.FAKE:
        return cells(backend)
    if backend is Backend.ORBSTACK:
        candidates = cells(backend)
        every = frozenset[Pair]().union(*map(pairs, candidates))
        wanted = [pair for pair in every if any(isinstance(value, Knob | Runner | Layer) for value in pair)]
        # A run's end waits until a create is over that can't be deleted before; a reaper has time anyway.
        waits = [Cell(Death.SIGINT, Moment.DURING, Runner.PLAIN, knob) for knob in (Knob.SLOW, Knob.OLD)]
        candidates += [double for cell in candidates for double in doubled(cell)]
        return selection(candidates, limit=None, wanted=wanted, first=waits)
    # Only a real engine can die at a call that it has begun.
    moments = (Moment.DURING, Moment.BODY, Moment.TEARDOWN)
    first = [Cell(Death.RESTART, moment, Runner.PLAIN) for moment in moments]
    docker = selection(cells(Backend.DOCKER), first=first)
    if backend is Backend.DOCKER:
        return docker
    covered = frozenset[Pair]().union(*map(pairs, docker))
    return selection(cells(backend), covered=covered, first=first)
