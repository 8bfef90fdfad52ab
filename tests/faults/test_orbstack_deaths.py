"""Deaths at their moments on a simulated OrbStack with its faults: a selection, or all with `whole`.

All of them are played if VMHARNESS_TEST_MATRIX says `whole`.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from faultlab.cells import Backend, Cell, cells
from faultlab.neighbour import Neighbour, strangers
from faultlab.orbstack import OrbStackEngine
from faultlab.play import play
from faultlab.selection import selected
from faultlab.stage import Stage

WHOLE = os.environ.get("VMHARNESS_TEST_MATRIX") == "whole"
PLAYED = dict.fromkeys([*(cells(Backend.ORBSTACK) if WHOLE else []), *selected(Backend.ORBSTACK)])


@pytest.mark.parametrize("cell", PLAYED, ids=lambda cell: cell.id)
def test_death_leaves_nothing(cell: Cell, neighbour: Neighbour, tmp_path: Path) -> None:
    assert cell.knobs
    engine = OrbStackEngine(tmp_path / "orbstack", cell.knobs)
    stage = Stage(engine, tmp_path)
    with (
        strangers(engine) as theirs,
        neighbour.session(engine, stage.state) as near,
        neighbour.session(engine, stage.folder / "other") as far,
    ):
        engine.turn_knobs()
        try:
            play(cell, stage, {*theirs, near, far})
        finally:
            stage.close()
