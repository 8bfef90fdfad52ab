"""Ledgers torn, garbled or of a newer version: what can be read of them counts, and the rest is kept."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from faultlab.fake import FakeStage
from faultlab.stage import Run, eventually, reapers
from vmharness._settings import DEFAULT_LIFECYCLE

PATIENCE_S = 60.0
NO_REAPER = tuple(name for name in DEFAULT_LIFECYCLE if name != "reaper")

SUITE = """
def test_one(vm_factory):
    for name in ("one", "two", "three"):
        machine = vm_factory(name)
    machine.run(["sleep", "0"])
"""

Lines = list[bytes]


def _of(lines: Lines, name: str) -> Sequence[int]:
    return [number for number, line in enumerate(lines) if f'"name": "{name}"'.encode() in line]


def garble_whole(lines: Lines) -> None:
    """Overwrite all that there is of one machine, as a bad block does."""
    for number in _of(lines, "two"):
        lines[number] = b"\0" * (len(lines[number]) - 1) + b"\n"


def garble_middle(lines: Lines) -> None:
    """Lose some bytes in the midst of all lines of one machine."""
    for number in _of(lines, "two"):
        lines[number] = lines[number][:40] + lines[number][60:]


def garble_last(lines: Lines) -> None:
    """Spoil the end of the file, where the last machine is."""
    for number in _of(lines, "three"):
        lines[number] = lines[number][: len(lines[number]) // 2] + b"\n"


def newer(lines: Lines) -> None:
    """Pretend that a later version wrote it."""
    lines[0] = json.dumps(json.loads(lines[0]) | {"vmharness": 2}).encode() + b"\n"


def tear(lines: Lines) -> None:
    """Cut the last line off, as a crash while it is written does."""
    lines[-1] = lines[-1][:-20]


def spoil(path: Path, damage: Callable[[Lines], None]) -> bytes:
    """Change a ledger in its place, so that its lock stays; return what is in it now."""
    with path.open("r+b") as file:
        lines = file.readlines()
        damage(lines)
        file.seek(0)
        file.truncate()
        file.writelines(lines)
    return b"".join(lines)


def die_with(stage: FakeStage, damage: Callable[[Lines], None], *, reaper: bool) -> bytes:
    """Kill a run that has three machines, and return what is in its ledger, which is damaged."""
    stage.store.hold("run:before")
    run = stage.start(SUITE, "-pno:xdist", lifecycle=DEFAULT_LIFECYCLE if reaper else NO_REAPER)
    stage.at("run:before")
    (path,) = stage.ledgers()
    content = spoil(path, damage)
    os.killpg(run.process.pid, signal.SIGKILL)
    run.end(PATIENCE_S)
    stage.store.release("run:before")
    return content


def next_run(stage: FakeStage) -> Run:
    run = stage.start("def test_nothing(): pass", "-pno:xdist", lifecycle=NO_REAPER)
    assert run.end(PATIENCE_S) == 0, run.text
    return run


either = pytest.mark.parametrize("reaper", [False, True], ids=["next-run", "reaper"])


@either
@pytest.mark.parametrize(
    ("damage", "unknown", "said"),
    [
        (garble_whole, {"two"}, "line 4 can't be read"),
        (garble_middle, {"two"}, "line 4 can't be read"),
        (garble_last, {"three"}, "line 6 can't be read"),
        (newer, {"one", "two", "three"}, "format 2, this vmharness reads 1: use the version that wrote it"),
    ],
    ids=["whole", "middle", "last", "newer"],
)
def test_what_can_be_read_goes_and_the_rest_is_kept_and_told(
    stage: FakeStage, damage: Callable[[Lines], None], unknown: set[str], said: str, reaper: bool
) -> None:
    content = die_with(stage, damage, reaper=reaper)
    (path,) = stage.ledgers()
    if reaper:
        eventually(lambda: stage.names() == unknown, PATIENCE_S, stage.names)
        eventually(lambda: not reapers(stage.state), PATIENCE_S, lambda: "the reaper stays")

    for _ in range(2):  # as long as the file is there, each run says so
        text = next_run(stage).text
        assert f"kept a damaged ledger, {path}: " in text
        assert said in text
        assert "look for machines that it may name, then delete the file" in text
        assert stage.names() == unknown
        assert stage.ledgers() == [path]
    assert path.read_bytes().startswith(content), "what can't be read was lost"


@either
def test_a_line_that_a_crash_cut_off_is_no_damage(stage: FakeStage, reaper: bool) -> None:
    die_with(stage, tear, reaper=reaper)
    if reaper:
        eventually(lambda: not stage.names() and not stage.ledgers(), PATIENCE_S, stage.names)

    assert "damaged" not in next_run(stage).text

    assert stage.names() == set()
    assert stage.ledgers() == []
