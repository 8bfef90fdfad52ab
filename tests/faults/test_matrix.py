"""Each death at each moment on the fake engine: who removed what was left, and do the neighbours live?"""

from __future__ import annotations

from pathlib import Path

import pytest

from faultlab.cells import Cell, cells
from faultlab.fake import FakeEngine
from faultlab.play import play
from faultlab.stage import Stage


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(FakeEngine(tmp_path / "engine"), tmp_path)


@pytest.mark.parametrize("cell", cells(), ids=lambda cell: cell.id)
def test_death_leaves_nothing(cell: Cell, stage: Stage, others: set[str]) -> None:
    play(cell, stage, others)
