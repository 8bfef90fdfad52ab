"""Each death at each moment: what is left, who removed the rest, and whether the neighbours live."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from faultlab import neighbour as neighbour_script
from faultlab.cells import Cell, Death, Layer, Moment, Runner, cells
from faultlab.stage import Run, Stage, eventually, reapers
from faultlab.suites import POINTS, suite
from vmharness.provider import Spec
from vmharness_fake import FakeProvider, Fault, Faults, wait_for

# What a reaper may take, in seconds; this engine makes and deletes at once.
REAPER_S = 5.0
# How long xdist's workers may go on without their controller, in seconds: execnet ends them.
EXECNET_S = 15.0
# How long a run that was asked to end may take here, in seconds, with both cores busy.
PATIENCE_S = 60.0

LIFECYCLE = {
    Layer.EXIT: ("signals", "tracking", "teardown"),
    Layer.RUN: ("reaper", "signals", "tracking", "teardown"),
    Layer.REAPER: ("reaper", "signals", "tracking", "teardown"),
    Layer.NEXT: ("signals", "sweep", "tracking", "teardown"),
}

Strike = Callable[["Play"], None]


class Neighbours:
    """A process of its own that has sessions beside each run; see faultlab.neighbour."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(neighbour_script.__file__)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def tell(self, **order: str) -> list[str]:
        """Give an order, and return the names of its machines."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        names: list[str] = json.loads(self._process.stdout.readline())
        return names

    def close(self) -> None:
        """End the process."""
        self._process.communicate(timeout=PATIENCE_S)


@pytest.fixture(scope="session")
def neighbours() -> Iterator[Neighbours]:
    neighbours = Neighbours()
    yield neighbours
    neighbours.close()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.close()


@pytest.fixture
def others(stage: Stage, neighbours: Neighbours) -> Iterator[set[str]]:
    """Machines that must live: of strangers with names like ours, and of living sessions."""
    stranger = FakeProvider(stage.store)
    elsewhere = {"vmharness.token": "a" * 32, "vmharness.expires": str(int(time.time()) + 3600)}
    stranger.create(Spec(name="vmh-one-0-aaaaaaaaaa"), timeout=5)
    stranger.create(Spec(name="vmh-one-0-bbbbbbbbbb", labels=elsewhere), timeout=5)
    living = neighbours.tell(
        engine=str(stage.store.path), state=str(stage.state), other=str(stage.folder / "other")
    )
    others = {"vmh-one-0-aaaaaaaaaa", "vmh-one-0-bbbbbbbbbb", *living}
    assert len(living) == 2
    assert stage.names() == others
    yield others
    stage.release_all()
    neighbours.tell()


class Play:
    """One cell being played."""

    def __init__(self, cell: Cell, stage: Stage, run: Run, standing: Sequence[int]) -> None:
        self.cell = cell
        self.stage = stage
        self.run = run
        # The processes that stand at the moment's barrier.
        self.standing = standing

    @property
    def main(self) -> int:
        """Process id of pytest, xdist's controller if there is one."""
        return self.run.process.pid

    def send(self, number: int) -> None:
        """Send a signal as a terminal does, to all of the process group."""
        os.killpg(self.main, number)


def twice(play: Play) -> None:
    """Interrupt the clean-up too, which stands at the next barrier; the process ends all the same."""
    store = play.stage.store
    # What was never heard of is looked for before it is deleted.
    unheard = play.cell.moment in (Moment.BEFORE, Moment.DURING, Moment.AFTER)
    point = "list:before" if unheard else "delete:before"
    store.hold(point)
    before = len([event for event in store.events() if event.detail == point])
    play.send(signal.SIGINT)
    play.stage.at(point, before + 1)
    play.send(signal.SIGINT)
    play.run.end(PATIENCE_S)
    assert store.is_held(point), "it waited for the call under way"
    store.release(point)


def as_ci(play: Play) -> None:
    """Do what GitHub does to a cancelled job, ten times as fast; nothing is released meanwhile."""
    # The engine is slow: the clean-up that the first signal begins doesn't end before the last one.
    store = play.stage.store
    store.hold("delete:before")
    play.send(signal.SIGINT)
    time.sleep(0.75)
    play.send(signal.SIGTERM)
    time.sleep(0.25)
    try:
        play.send(signal.SIGKILL)
    except ProcessLookupError:
        pass  # the second signal ended it
    play.run.end(PATIENCE_S)
    store.release("delete:before")


def kill_reapers(play: Play) -> None:
    found = reapers(play.stage.state)
    assert found
    for pid in found:
        os.kill(pid, signal.SIGKILL)


def kill_both(play: Play) -> None:
    kill_reapers(play)
    play.send(signal.SIGKILL)


def restart(play: Play) -> None:
    """Let no call through until one has been turned away."""
    play.stage.store.set_faults(Faults((Fault("*", "unavailable"),)))
    play.stage.store.release(POINTS[play.cell.moment])
    verb = {Moment.BEFORE: "create", Moment.BODY: "run"}.get(play.cell.moment, "delete")
    wait_for(play.stage.store, verb, "end", detail="EngineUnavailable")
    play.stage.store.set_faults(Faults())


STRIKES: dict[Death, Strike] = {
    Death.SIGINT: lambda play: play.send(signal.SIGINT),
    Death.SIGINT_TWICE: twice,
    Death.SIGTERM: lambda play: os.kill(play.main, signal.SIGTERM),
    Death.SIGHUP: lambda play: play.send(signal.SIGHUP),
    Death.KILL: lambda play: os.kill(play.main, signal.SIGKILL),
    Death.KILL_WORKER: lambda play: os.kill(play.standing[0], signal.SIGKILL),
    Death.KILL_GROUP: lambda play: play.send(signal.SIGKILL),
    Death.KILL_REAPER: kill_reapers,
    Death.KILL_BOTH: kill_both,
    Death.EXIT: lambda play: play.stage.bomb(play.standing[0], "exit"),
    Death.SEGFAULT: lambda play: play.stage.bomb(play.standing[0], "segfault"),
    Death.TIMEOUT: lambda play: None,
    Death.CI: as_ci,
    Death.RESTART: restart,
}


def play(cell: Cell, stage: Stage, others: set[str]) -> tuple[Run, set[int]]:
    """Start the run, strike at the moment, and let the barriers go; return the run and its processes."""
    point, store = POINTS[cell.moment], stage.store
    args = ["-n2"] if cell.runner is Runner.XDIST else ["-pno:xdist"]
    if cell.death is Death.TIMEOUT:
        args += ["--timeout=3", "--timeout-method=thread"]
    lifecycle: Sequence[str] = LIFECYCLE[cell.layer]
    if cell.death in (Death.KILL_REAPER, Death.KILL_BOTH):
        lifecycle = ("reaper", *lifecycle)
    if cell.moment is Moment.SWEEP:
        leave_orphan(stage)
    if cell.death in STRIKES:
        store.hold(point)
    elif cell.death is Death.LATE:
        store.set_faults(Faults((Fault("create", "late", seconds=0.5),)))
        args.append("--vm-create-timeout=0.2")
    sweep = "owned" if cell.layer is Layer.NEXT else "off"
    run = stage.start(suite(cell.death, cell.moment), *args, lifecycle=lifecycle, sweep=sweep)
    if cell.death not in STRIKES:
        run.end(PATIENCE_S)
        return run, stage.pids("create")
    standing = [event.pid for event in stage.at(point, 2 if cell.runner is Runner.XDIST else 1)]
    there = stage.names()
    STRIKES[cell.death](Play(cell, stage, run, standing))
    if cell.death in (Death.KILL, Death.KILL_GROUP, Death.KILL_BOTH, Death.CI, Death.TIMEOUT) or (
        cell.runner is Runner.PLAIN and cell.death in (Death.EXIT, Death.SEGFAULT)
    ):
        run.end(PATIENCE_S)  # it dies at the barrier
        if cell.moment is not Moment.BEFORE:
            assert there - others, "death struck before there was a machine"
    elif cell.death in (Death.KILL_WORKER, Death.EXIT, Death.SEGFAULT):
        eventually(lambda: is_dead(standing[0]), PATIENCE_S, lambda: run.text)
    store.release(point)
    return run, {run.process.pid, *standing}


def is_dead(pid: int) -> bool:
    """Whether a process is dead, waited for by its parent or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def leave_orphan(stage: Stage) -> None:
    """Leave a machine of a run that was killed, for the next run to sweep."""
    suite = "import os\ndef test_one(vm): os.kill(os.getpid(), 9)"
    run = stage.start(suite, "-pno:xdist", lifecycle=("signals",))
    assert run.end(PATIENCE_S) == -signal.SIGKILL


@pytest.mark.parametrize("cell", cells(), ids=lambda cell: cell.id)
def test_death_leaves_nothing(cell: Cell, stage: Stage, others: set[str]) -> None:
    run, own = play(cell, stage, others)

    def seen() -> object:
        return (stage.names() - others, run.text, stage.store.events()[-8:])

    if cell.layer is Layer.EXIT:
        run.end(PATIENCE_S)
        assert stage.names() == others, seen()
        assert stage.pids("delete") <= own | stage.pids("create"), "somebody else deleted"
    elif cell.layer is Layer.RUN:
        run.end(PATIENCE_S)
        eventually(lambda: stage.names() == others, EXECNET_S + REAPER_S, seen)
    elif cell.layer is Layer.REAPER:
        if cell.runner is Runner.XDIST:
            run.end(PATIENCE_S)
        # A process that is still there may have more tests to run.
        eventually(
            lambda: stage.names() == others, EXECNET_S + REAPER_S if in_workers(cell) else REAPER_S, seen
        )
        if cell.moment is not Moment.BEFORE:
            assert stage.pids("delete") - own - stage.pids("create"), "the reaper deleted nothing"
    else:
        run.end(PATIENCE_S)
        left = stage.names() - others
        if cell.moment is not Moment.BEFORE and cell.death is not Death.RESTART:
            assert left or cell.moment is Moment.SWEEP, "there was nothing to remove"
        stage.start("def test_nothing(): pass", "-pno:xdist", lifecycle=LIFECYCLE[Layer.NEXT]).end(PATIENCE_S)
        assert stage.names() == others, seen()
    run.end(PATIENCE_S)
    assert stage.names() == others, "a neighbour's machine is gone, or something came back"


def in_workers(cell: Cell) -> bool:
    """Whether processes outlive the one that was struck, and go on for a while."""
    return cell.runner is Runner.XDIST and cell.death in (Death.SIGINT_TWICE, Death.CI)
