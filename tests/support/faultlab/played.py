"""What was played of the matrix on real engines: `python -m faultlab.played REPORT` prints it.

The report is the one that pytest writes with `--junitxml`.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from faultlab.cells import Cell, Death, Moment, Runner, all_cells

__all__ = ["page"]

_CELLS: Final = {cell.id: cell for cell in all_cells()}
_WIDTH: Final = max(map(len, Moment))


def page(report: str) -> str:
    """Return a table a runner, in whose entries are the engines' initials, with a ! where it didn't pass."""
    marks: defaultdict[Cell, list[str]] = defaultdict(list)
    for case in ElementTree.fromstring(report).iter("testcase"):  # noqa: S314 - our own tests wrote it
        backend, _, name = case.get("name", "").partition("[")[2].rstrip("]").partition("-")
        bad = any(case.find(end) is not None for end in ("failure", "error", "skipped"))
        marks[_CELLS[name]].append(backend[0].upper() + "!" * bad)
    return "".join(f"{line.rstrip()}\n" for runner in Runner for line in _table(runner, marks))


def _table(runner: Runner, marks: Mapping[Cell, list[str]]) -> Iterator[str]:
    first = max(map(len, Death))
    yield f"{runner:{first}} | " + " | ".join(f"{moment:{_WIDTH}}" for moment in Moment)
    for death in Death:
        row = ["".join(sorted(marks.get(Cell(death, moment, runner), ()))) for moment in Moment]
        if any(row):
            yield f"{death:{first}} | " + " | ".join(f"{mark:{_WIDTH}}" for mark in row)


if __name__ == "__main__":
    sys.stdout.write(page(Path(sys.argv[1]).read_text()))
