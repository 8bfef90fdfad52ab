"""How each death strikes a run that stands at its moment. Those that the suite itself does aren't here."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from faultlab.cells import Cell, Death, Moment
from faultlab.engine import EngineUnderTest, eventually
from faultlab.stage import Run, Stage, reapers
from faultlab.suites import POINTS

__all__ = ["PATIENCE_S", "STRIKES", "Struck"]

# How long a run that was asked to end may take, in seconds, with both cores busy.
PATIENCE_S: Final = 60.0
_POLL_S: Final = 0.01


class Struck:
    """A run that stands at its moment.

    Args:
        cell: What is played.
        stage: Where.
        run: The run.
        standing: The processes whose calls stand there.
    """

    def __init__(self, cell: Cell, stage: Stage, run: Run, standing: Sequence[int]) -> None:
        self.cell: Final = cell
        self.stage: Final = stage
        self.run: Final = run
        self.standing: Final = standing

    @property
    def engine(self) -> EngineUnderTest:
        """The engine."""
        return self.stage.engine

    @property
    def main(self) -> int:
        """Process id of pytest, xdist's controller if there is one."""
        return self.run.process.pid

    def send(self, number: int) -> None:
        """Send a signal as a terminal does, to all of the process group."""
        os.killpg(self.main, number)


def twice(struck: Struck) -> None:
    """Interrupt the clean-up too, which stands at the next point; the process ends all the same."""
    engine = struck.engine
    # What was never heard of is looked for before it is deleted.
    unheard = struck.cell.moment in (Moment.BEFORE, Moment.DURING, Moment.AFTER)
    point = "list:before" if unheard else "delete:before"
    engine.hold(point)
    before = len(engine.stood(point))
    struck.send(signal.SIGINT)
    struck.stage.at(point, before + 1)
    struck.send(signal.SIGINT)
    struck.run.end(PATIENCE_S)
    assert engine.is_held(point), "it waited for the call under way"
    engine.release("list:before")


def storm(struck: Struck) -> None:
    """Interrupt until the process has ended, as a person does who presses Ctrl+C again and again."""
    # It is kept from cleaning up meanwhile: so that there is something to interrupt until the end.
    struck.engine.hold("list:before")
    deadline = time.monotonic() + PATIENCE_S
    while struck.run.process.poll() is None:
        assert time.monotonic() < deadline, f"it doesn't end:\n{struck.run.text}"
        struck.send(signal.SIGINT)
        time.sleep(_POLL_S)
    struck.engine.release("list:before")


def as_ci(struck: Struck) -> None:
    """Do what GitHub does to a cancelled job, ten times as fast."""
    struck.send(signal.SIGINT)
    time.sleep(0.75)
    struck.send(signal.SIGTERM)
    time.sleep(0.25)
    try:
        struck.send(signal.SIGKILL)
    except ProcessLookupError:
        pass  # the second signal ended it


def kill_reapers(struck: Struck) -> None:
    """Kill all of the run's reapers, and nothing else."""
    found = reapers(struck.stage.state)
    assert found
    for pid in found:
        os.kill(pid, signal.SIGKILL)


def kill_both(struck: Struck) -> None:
    """Kill the reapers first, then the run."""
    kill_reapers(struck)
    struck.send(signal.SIGKILL)


def stop_and_kill(struck: Struck) -> None:
    """Stop the run, and kill it when another session has come and gone: who is stopped isn't dead."""
    before = struck.engine.names()
    struck.send(signal.SIGSTOP)
    eventually(lambda: is_stopped(struck.main), PATIENCE_S, lambda: "it isn't stopped")
    sweeping = struck.stage.start(
        "def test_nothing(): pass", "-pno:xdist", lifecycle=("signals", "sweep", "tracking", "teardown")
    )
    assert sweeping.end(PATIENCE_S) == 0, sweeping.text
    assert struck.engine.names() == before, "a machine is gone whose owner was only stopped"
    struck.send(signal.SIGKILL)


def is_stopped(pid: int) -> bool:
    """Whether a process is stopped by a signal."""
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0] == "T"


def kill_without_engine(struck: Struck) -> None:
    """Kill the run while the engine is off, which is on again when a reaper has asked it in vain."""
    engine = struck.engine
    engine.die()
    struck.send(signal.SIGKILL)
    struck.run.end(PATIENCE_S)
    eventually(
        lambda: "cannot list" in struck.stage.reapers_log, PATIENCE_S, lambda: struck.stage.reapers_log
    )
    engine.rise()


STRIKES: Final[Mapping[Death, Callable[[Struck], None]]] = {
    Death.SIGINT: lambda struck: struck.send(signal.SIGINT),
    Death.SIGINT_TWICE: twice,
    Death.SIGINT_STORM: storm,
    Death.SIGTERM: lambda struck: os.kill(struck.main, signal.SIGTERM),
    Death.SIGHUP: lambda struck: struck.send(signal.SIGHUP),
    Death.SIGQUIT: lambda struck: struck.send(signal.SIGQUIT),
    Death.KILL: lambda struck: os.kill(struck.main, signal.SIGKILL),
    Death.KILL_WORKER: lambda struck: os.kill(struck.standing[0], signal.SIGKILL),
    Death.KILL_GROUP: lambda struck: struck.send(signal.SIGKILL),
    Death.KILL_REAPER: kill_reapers,
    Death.KILL_BOTH: kill_both,
    Death.STOPPED: stop_and_kill,
    Death.EXIT: lambda struck: struck.run.bomb(struck.standing[0], "exit"),
    Death.SEGFAULT: lambda struck: struck.run.bomb(struck.standing[0], "segfault"),
    Death.TIMEOUT: lambda struck: None,
    Death.CI: as_ci,
    Death.RESTART: lambda struck: struck.engine.restart(POINTS[struck.cell.moment]),
    Death.OFF: kill_without_engine,
}
