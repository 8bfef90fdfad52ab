"""Deaths at their moments with another plugin in the place of `teardown`: the how-to's.

First the cells in which a test's end must clean up, for there it is this plugin that deletes; then those that
complete them to a selection in which each death, each moment and each runner comes in; or all, if
VMHARNESS_TEST_MATRIX says `whole`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import pytest

from faultlab.cells import Cell, Death, Layer, Moment, Runner, cells
from faultlab.fake import FakeEngine
from faultlab.play import play
from faultlab.selection import selection
from faultlab.stage import Run, Stage

EXAMPLE: Final = Path(__file__).parents[2] / "docs/examples/vmharness-eventlog"
FIRST: Final = [
    cell for cell in cells() if cell.layer is Layer.EXIT and cell.moment in (Moment.BODY, Moment.TEARDOWN)
]
WHOLE: Final = os.environ.get("VMHARNESS_TEST_MATRIX") == "whole"
PLAYED: Final = cells() if WHOLE else selection(cells(), first=FIRST)
ENTRY_POINTS: Final = "[vmharness.lifecycle]\nlogged-teardown = vmharness_eventlog:LoggedTeardown\n"


class ReplacedStage(Stage):
    """A stage whose runs have the example installed, and its plugin in the place of ours."""

    def __init__(self, folder: Path) -> None:
        super().__init__(FakeEngine(folder / "engine"), folder)
        self._log = folder / "events"
        self._site = folder / "site"
        info = self._site / "vmharness_eventlog-1.dist-info"
        info.mkdir(parents=True)
        (self._site / "vmharness_eventlog").symlink_to(EXAMPLE / "vmharness_eventlog")
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: vmharness-eventlog\nVersion: 1\n")
        (info / "entry_points.txt").write_text(ENTRY_POINTS)

    def start(
        self,
        suite: str,
        *args: str,
        lifecycle: Sequence[str],
        sweep: str = "owned",
        variables: Mapping[str, str] | None = None,
    ) -> Run:
        """Start pytest on a suite; `teardown` means the example's."""
        path = os.pathsep.join(filter(None, (str(self._site), os.environ.get("PYTHONPATH"))))
        return super().start(
            suite,
            *args,
            lifecycle=["logged-teardown" if name == "teardown" else name for name in lifecycle],
            sweep=sweep,
            variables={"PYTHONPATH": path, "VMHARNESS_EVENTLOG": str(self._log), **(variables or {})},
        )

    def events(self) -> Sequence[str]:
        """Return what was logged, in order: "opened", "running", "gone", "scope ended", "closing", …"""
        lines = self._log.read_text().splitlines()
        return [event.get("now", event["event"]) for event in map(json.loads, lines)]


@pytest.fixture
def stage(tmp_path: Path) -> ReplacedStage:
    return ReplacedStage(tmp_path)


@pytest.mark.parametrize("cell", PLAYED, ids=lambda cell: cell.id)
def test_death_leaves_nothing(cell: Cell, stage: ReplacedStage, others: set[str]) -> None:
    play(cell, stage, others)

    assert "opened" in stage.events() or cell.moment is Moment.SWEEP


def test_it_is_the_plugin_that_deletes_at_a_tests_end(stage: ReplacedStage, others: set[str]) -> None:
    play(Cell(Death.EXCEPTION, Moment.BODY, Runner.PLAIN), stage, others)

    events = stage.events()
    assert events.count("running") == events.count("gone") == 6
    assert "gone" not in events[events.index("closing") :], "the session's end did it"
