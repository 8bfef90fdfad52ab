"""The matrix as a page of the reference: `python -m faultlab.table docs/reference/deaths.md` writes it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from faultlab.cells import (
    SAME,
    Backend,
    Cell,
    Death,
    Knob,
    Layer,
    Moment,
    Runner,
    all_cells,
    cells,
    reason_against,
)
from faultlab.selection import selected

__all__ = ["page"]

_WORDS: Final = {
    Layer.EXIT: "the run itself, before its process ends",
    Layer.RUN: "the run's workers, before they end, or their reapers within 5 s of that",
    Layer.REAPER: "the reaper, within 5 s and the engine's own time",
    Layer.NEXT: "the next session, before its process ends",
}
_HEAD: Final = """\
# Deaths of a run, and who cleans up

Generated from the tests: in each entry a real pytest process dies at that moment, and then the
test looks at what the engine has. Beside the run live machines of strangers with names like ours,
and of two other sessions; all of them must still be there. The layers that aren't named are off.
"""
_ENGINES: Final = """\
- —: makes no sense, for a reason below

All entries are played on the fake engine, which stops a call wherever it shall. Those with **D** are played
on a Docker engine as well, those with **L** on LXD, whenever the tests have these engines: there a proxy on
the engine's socket stops the calls, and what is left is read by the engine's own command. The engine that
restarts, or is off, is a real one that is killed and started again; entries in brackets, where a call that
it has begun dies with it, are for such engines only. `tox -e matrix` plays all entries on all three.
"""
_SIMULATED: Final = """\
## A simulated OrbStack

OrbStack runs on a Mac only, so it is simulated: vmharness's own `orbctl` is first on PATH, and each call of
it is a process, as on a Mac. What differs from the engines above: there are no labels, so that a machine is
proven by the time of its creation; a command goes on when the run that started it is dead; and OrbStack
goes wrong in ways of its own, as it was seen to. What is left is read from the simulator's file.

Of {count} combinations that make sense these are always played: each kind of OrbStack with each death, each
moment, each runner and each layer that it can meet. Where creates are unusual, something else may be as well.
`tox -e matrix` plays all combinations, and these.
"""
_REAL: Final = {"D": frozenset(selected(Backend.DOCKER)), "L": frozenset(selected(Backend.LXD))}


def page() -> str:
    """Return the page as Markdown."""
    lines = [_HEAD, *(f"- **{layer}**: {words}" for layer, words in _WORDS.items()), _ENGINES]
    for runner in Runner:
        lines += [f"## {runner}", "", *_table(runner), ""]
    lines += [_SIMULATED.format(count=f"{len(cells(Backend.ORBSTACK)):,}"), *_rows(), ""]
    lines += ["## What is left out", "", *_reasons(), ""]
    lines += ["## What needs no entry of its own", ""]
    lines += [f"- {other}: as {death}" for other, death in SAME.items()]
    return "\n".join(lines) + "\n"


def _table(runner: Runner) -> Iterator[str]:
    yield "| death | " + " | ".join(Moment) + " |"
    yield "|---" * (len(Moment) + 1) + "|"
    for death in Death:
        marks = [_mark(Cell(death, moment, runner)) for moment in Moment]
        if set(marks) != {"—"}:
            yield f"| {death} | " + " | ".join(marks) + " |"


def _mark(cell: Cell) -> str:
    """Say who cleans up, and on which engines that is always played."""
    if reason_against(cell, Backend.DOCKER):
        return "—"
    layer = f"({cell.layer})" if reason_against(cell) else str(cell.layer)
    letters = [f"**{letter}**" for letter, chosen in _REAL.items() if cell in chosen]
    return " ".join([layer, *letters])


def _rows() -> Iterator[str]:
    """Yield a row for each cell on the simulated OrbStack."""
    yield "| death | moment | run by | OrbStack | who cleans up |"
    yield "|---" * 5 + "|"
    for cell in sorted(selected(Backend.ORBSTACK), key=_place):
        kind = " + ".join(cell.knobs)
        yield "| " + " | ".join([cell.death, cell.moment, cell.runner, kind, cell.layer]) + " |"


def _place(cell: Cell) -> tuple[int, ...]:
    order = [*Death, *Moment, *Runner, *Knob]
    return tuple(map(order.index, cell.values))


def _reasons() -> Iterator[str]:
    reasons: dict[str, list[str]] = {}
    for cell in all_cells(Backend.ORBSTACK):
        if reason := reason_against(cell, Backend.ORBSTACK):
            found = reasons.setdefault(reason, [])
            named = cell.death if reason_against(replace(cell, knob=None), Backend.ORBSTACK) else cell.knob
            if named and named not in found:
                found.append(named)
    for reason, deaths in reasons.items():
        # A few, or it is the same for nearly all of them.
        few = len(deaths) < len(Death) / 2
        yield f"- {reason} ({'; '.join(deaths)})" if few else f"- {reason}"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page())
