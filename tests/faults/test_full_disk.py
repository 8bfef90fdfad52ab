"""The disk with the state folder fills up: nothing is made that can't be recorded, and what was made goes."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from faultlab.fake import FakeStage
from faultlab.stage import Run, eventually, reapers
from vmharness._settings import DEFAULT_LIFECYCLE

PATIENCE_S = 60.0
NO_REAPER = tuple(name for name in DEFAULT_LIFECYCLE if name != "reaper")
FULL = "No space left on device"

# Each line of a ledger is longer than a block of the disk, so that none fits into one that is there already.
SUITE = """
import pytest

@pytest.mark.parametrize("n", [0], ids=["x" * 4200])
def test_one(n, vm_session, vm_provider, request):
    vm_provider.exists("before")
    vm = request.getfixturevalue("vm")
    vm.run(["sleep", "0"])
"""


class Disk:
    """A small disk of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._filler = folder / "filler"

    def fill(self) -> None:
        room = os.statvfs(self._folder)
        self._filler.write_bytes(b"x" * room.f_bavail * room.f_frsize)
        assert os.statvfs(self._folder).f_bavail == 0

    def free(self) -> None:
        self._filler.unlink()


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of 64 KiB; where that isn't permitted, the test is skipped, or fails if it is required."""
    folder = tmp_path / "disk"
    folder.mkdir()
    argv = ["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", str(folder)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    if done.returncode:
        reason = f"cannot mount a small disk: {done.stderr.strip()}"
        if os.environ.get("VMHARNESS_TEST_MOUNTS") == "required":
            pytest.fail(reason)
        pytest.skip(reason)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=PATIENCE_S)


@pytest.fixture
def disk(mounted: Path) -> Disk:
    return Disk(mounted)


@pytest.fixture
def stage(tmp_path: Path, mounted: Path) -> Iterator[FakeStage]:
    stage = FakeStage(tmp_path, state=mounted / "state")
    yield stage
    stage.close()


def start(stage: FakeStage, *, reaper: bool = False) -> Run:
    return stage.start(SUITE, "-pno:xdist", lifecycle=DEFAULT_LIFECYCLE if reaper else NO_REAPER)


def check_that_the_next_run_settles_it(stage: FakeStage, disk: Disk) -> None:
    disk.free()
    run = stage.start("def test_nothing(): pass", "-pno:xdist", lifecycle=NO_REAPER)
    assert run.end(PATIENCE_S) == 0, run.text
    assert stage.names() == set()
    assert stage.ledgers() == []


def test_full_from_the_start_no_session_opens(stage: FakeStage, disk: Disk) -> None:
    disk.fill()

    run = start(stage)

    assert run.end(PATIENCE_S) == 1
    assert f"cannot open a ledger in {stage.state}" in run.text
    assert f"{FULL}; set VMHARNESS_STATE_DIR to a folder on a local disk with room" in run.text
    assert not stage.pids("create"), "the engine was asked for a machine that is on no ledger"
    assert list(stage.state.glob("*/.*")) == []


def test_full_before_the_create_nothing_is_made(stage: FakeStage, disk: Disk) -> None:
    stage.store.hold("exists:before")
    run = start(stage)
    stage.at("exists:before")
    disk.fill()
    stage.store.release("exists:before")

    assert run.end(PATIENCE_S) == 1

    assert "cannot record machine 'vmh-one-" in run.text
    assert f"{FULL}; set VMHARNESS_STATE_DIR" in run.text
    assert not stage.pids("create"), "the engine was asked for a machine that is on no ledger"
    assert stage.ledgers() == [], "half a line was left"


@pytest.mark.parametrize("point", ["create:accepted", "run:before"])
def test_full_after_the_intent_the_machine_goes_all_the_same(
    stage: FakeStage, disk: Disk, point: str
) -> None:
    stage.store.hold(point)
    run = start(stage)
    stage.at(point)
    disk.fill()
    stage.store.release(point)

    assert run.end(PATIENCE_S) == 0, run.text

    assert stage.names() == set()
    assert "cannot record machine 'vmh-one-" in run.text
    assert f"{FULL}; set VMHARNESS_STATE_DIR" in run.text
    assert "1 created, 1 deleted, 0 swept, 0 left" in run.text
    check_that_the_next_run_settles_it(stage, disk)


@pytest.mark.parametrize("point", ["create:accepted", "run:before"])
def test_a_reaper_on_a_full_disk_deletes_all_the_same(stage: FakeStage, disk: Disk, point: str) -> None:
    stage.store.hold(point)
    run = start(stage, reaper=True)
    stage.at(point)
    disk.fill()
    os.killpg(run.process.pid, signal.SIGKILL)

    eventually(lambda: not stage.names(), PATIENCE_S, stage.store.events)

    eventually(lambda: not reapers(stage.state), PATIENCE_S, lambda: "the reaper stays")
    assert stage.ledgers() == []
    stage.store.release(point)
    check_that_the_next_run_settles_it(stage, disk)
