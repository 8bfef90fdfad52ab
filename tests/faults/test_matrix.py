"""Each death at each moment on the fake engine: who removed what was left, and do the neighbours live?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from faultlab.cells import Cell, cells
from faultlab.fake import FakeEngine
from faultlab.neighbour import Neighbour, strangers
from faultlab.play import play
from faultlab.stage import Stage


@pytest.fixture(scope="session")
def neighbour() -> Iterator[Neighbour]:
    neighbour = Neighbour()
    yield neighbour
    neighbour.close()


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(FakeEngine(tmp_path / "engine"), tmp_path)


@pytest.fixture
def others(stage: Stage, neighbour: Neighbour) -> Iterator[set[str]]:
    """Machines that must live: strangers', and those of living sessions, on the run's state folder too."""
    engine = stage.engine
    with (
        strangers(engine) as theirs,
        neighbour.session(engine, stage.state) as near,
        neighbour.session(engine, stage.folder / "other") as far,
    ):
        yield {*theirs, near, far}
        stage.close()


@pytest.mark.parametrize("cell", cells(), ids=lambda cell: cell.id)
def test_death_leaves_nothing(cell: Cell, stage: Stage, others: set[str]) -> None:
    play(cell, stage, others)
