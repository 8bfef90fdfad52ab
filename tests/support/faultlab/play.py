"""Playing one cell: a run is brought to its moment and struck; then it is judged who removed what it left."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import pytest

from faultlab.cells import Cell, Death, Knob, Layer, Moment, Runner
from faultlab.engine import eventually
from faultlab.stage import Run, Stage, is_dead, reapers
from faultlab.strikes import PATIENCE_S, STRIKES, Struck
from faultlab.suites import POINTS, suite

__all__ = ["play"]

# What a reaper may take besides the engine's own time, in seconds.
_REAPER_S: Final = 5.0
# How long xdist's workers may go on without their controller, in seconds: execnet ends them.
_EXECNET_S: Final = 15.0
_DELETE: Final = "delete:before"

# With which status pytest ends, if nothing else than this death may have ended it.
_STATUS: Final[Mapping[Death, int]] = {
    Death.EXCEPTION: pytest.ExitCode.TESTS_FAILED,
    Death.SETUP_EXCEPTION: pytest.ExitCode.TESTS_FAILED,
    Death.LATE: pytest.ExitCode.TESTS_FAILED,
    Death.KILL_REAPER: pytest.ExitCode.OK,
    Death.PYTEST_EXIT: pytest.ExitCode.INTERRUPTED,
    Death.FINALIZER: pytest.ExitCode.INTERRUPTED,
    Death.SIGINT: pytest.ExitCode.INTERRUPTED,
    Death.SIGTERM: -signal.SIGTERM,
    Death.SIGHUP: -signal.SIGHUP,
    Death.SIGQUIT: -signal.SIGQUIT,
    Death.KILL: -signal.SIGKILL,
    Death.KILL_GROUP: -signal.SIGKILL,
    Death.KILL_BOTH: -signal.SIGKILL,
    Death.STOPPED: -signal.SIGKILL,
    Death.OFF: -signal.SIGKILL,
}

# There is nothing left to interrupt but the clean-up, which goes on without pytest.
_AFTER_ALL_TESTS: Final = Cell(Death.SIGINT, Moment.END, Runner.PLAIN)

_LIFECYCLE: Final[Mapping[Layer, Sequence[str]]] = {
    Layer.EXIT: ("signals", "tracking", "teardown"),
    Layer.RUN: ("reaper", "signals", "tracking", "teardown"),
    Layer.REAPER: ("reaper", "signals", "tracking", "teardown"),
    Layer.NEXT: ("signals", "sweep", "tracking", "teardown"),
}


def play(cell: Cell, stage: Stage, others: set[str]) -> None:
    """Play a cell; AssertionError if death missed, if anything but the others' machines is left, and so on.

    Args:
        cell: What is played.
        stage: Where.
        others: Names of machines that are there and must stay.
    """
    _Play(cell, stage, others).play()


class _Play:
    def __init__(self, cell: Cell, stage: Stage, others: set[str]) -> None:
        self._cell = cell
        self._stage = stage
        self._engine = stage.engine
        self._others = others
        self._point = POINTS[cell.moment]
        # Whether the engine has or will have what is to be removed.
        self._comes = cell.moment is not Moment.BEFORE

    def play(self) -> None:
        assert self._engine.names() == self._others
        if self._cell.moment is Moment.SWEEP:
            self._leave_orphan()
        own = self._strike() if self._cell.death in STRIKES else self._die_by_itself()
        judge: Mapping[Layer, Callable[[set[int]], None]] = {
            Layer.EXIT: self._judge_exit,
            Layer.RUN: self._judge_run,
            Layer.REAPER: self._judge_reaper,
            Layer.NEXT: self._judge_next,
        }
        judge[self._cell.layer](own)
        status = self._run.end(PATIENCE_S)
        expected = _STATUS.get(self._cell.death, status)
        if replace(self._cell, knob=None, also=None) == _AFTER_ALL_TESTS:
            expected = pytest.ExitCode.OK
        elif self._cell.knob is Knob.LEFTOVER and expected == pytest.ExitCode.OK:
            expected = pytest.ExitCode.TESTS_FAILED  # none has a machine
        assert status == expected, self._run.text
        # What dead clients had asked for is over as well.
        self._gone(_REAPER_S, lambda: not self._engine.is_busy() and self._left() == set())
        assert self._engine.names() == self._others, "a neighbour's machine is gone"

    # -- until death

    def _start(self, *args: str) -> Run:
        cell = self._cell
        args += ("-n2",) if cell.runner is Runner.XDIST else ("-pno:xdist",)
        lifecycle = _LIFECYCLE[cell.layer]
        if cell.death in (Death.KILL_REAPER, Death.KILL_BOTH):
            lifecycle = ("reaper", *lifecycle)
        self._run = self._stage.start(
            suite(cell.death, cell.moment),
            *args,
            lifecycle=lifecycle,
            sweep="owned" if cell.layer is Layer.NEXT else "off",
        )
        return self._run

    def _leave_orphan(self) -> None:
        """Leave a machine of a run that was killed, for the next run to sweep."""
        suite = "import os\ndef test_one(vm): os.kill(os.getpid(), 9)"
        run = self._stage.start(suite, "-pno:xdist", lifecycle=("signals",))
        assert run.end(PATIENCE_S) == -signal.SIGKILL, run.text

    def _die_by_itself(self) -> set[int]:
        """Let the suite do it; return the processes that made machines."""
        args = self._engine.make_late() if self._cell.death is Death.LATE else ()
        run = self._start(*args)
        run.end(PATIENCE_S)
        assert "CreateTimeout" in run.text or self._cell.death is not Death.LATE, run.text
        return self._engine.callers("create")

    def _strike(self) -> set[int]:
        """Bring a run to its moment, and strike; return its processes. If it is dead, deletes wait."""
        cell, engine = self._cell, self._engine
        engine.hold(self._point)
        if self._dies_for_others:
            engine.hold(_DELETE)  # from the start, for a time-out strikes by itself
        timeout = 3 + int(engine.own_s / 5)
        args = [f"--timeout={timeout}", "--timeout-method=thread"] if cell.death is Death.TIMEOUT else []
        run = self._start(*args)
        count = 2 if cell.runner is Runner.XDIST else 1
        standing = self._stage.at(self._point, count)
        if cell.moment is not Moment.BEFORE:
            eventually(lambda: len(self._left()) >= count, PATIENCE_S, self._seen)
        engine.worsen()
        STRIKES[cell.death](Struck(cell, self._stage, run, standing))
        if cell.dies_there:
            self._await_death(standing)
            self._comes |= engine.goes_on(self._point)
        if self._point != _DELETE or not self._dies_for_others:
            engine.release(self._point)
        if not self._dies_for_others:
            engine.release(_DELETE)
        return {run.process.pid, *standing}

    @property
    def _dies_for_others(self) -> bool:
        """Whether it is dead before it could delete, and others must."""
        heirs = self._cell.layer in (Layer.REAPER, Layer.NEXT)
        return heirs and self._cell.dies_there

    def _await_death(self, standing: Sequence[int]) -> None:
        """Wait until the process that was struck is dead, at the moment: no call was let go on."""
        in_worker = (Death.KILL_WORKER, Death.EXIT, Death.SEGFAULT, Death.TIMEOUT)
        if self._cell.runner is Runner.XDIST and self._cell.death in in_worker:
            eventually(lambda: is_dead(standing[0]), PATIENCE_S, self._seen)
        else:
            self._run.end(PATIENCE_S)
        assert self._engine.is_held(self._point), "it died after its moment"

    # -- afterwards

    def _left(self) -> set[str]:
        return self._engine.names() - self._others

    def _seen(self) -> object:
        return (self._left(), self._engine.callers("create"), self._engine.callers("delete"), self._run.text)

    def _gone(self, within: float, condition: Callable[[], object]) -> None:
        eventually(condition, within + self._engine.own_s, self._seen)

    def _judge_exit(self, own: set[int]) -> None:
        self._run.end(PATIENCE_S)
        assert self._left() == set(), self._seen()
        deleters = self._engine.callers("delete")
        assert deleters <= own | self._engine.callers("create"), "somebody else deleted"
        assert deleters or self._cell.moment is Moment.BEFORE, f"there was nothing to remove: {self._seen()}"

    def _judge_run(self, own: set[int]) -> None:
        del own
        self._run.end(PATIENCE_S)
        self._gone(_EXECNET_S + _REAPER_S, lambda: self._left() == set())

    def _judge_reaper(self, own: set[int]) -> None:
        self._engine.recover()
        if self._comes:
            self._meet_heir(lambda pid: pid not in own and pid in reapers(self._stage.state), _REAPER_S)
        self._engine.release(_DELETE)
        self._gone(_REAPER_S, lambda: self._left() == set())

    def _judge_next(self, own: set[int]) -> None:
        self._run.end(PATIENCE_S)
        if self._cell.moment is Moment.BEFORE:
            self._gone(0, lambda: not self._engine.is_busy())
        heir = self._stage.start(
            "def test_nothing(): pass", "-pno:xdist", lifecycle=_LIFECYCLE[Layer.NEXT], sweep="owned"
        )
        if self._dies_for_others and self._comes:
            self._meet_heir(lambda pid: pid == heir.process.pid, PATIENCE_S)
        self._engine.release(_DELETE)
        heir.end(PATIENCE_S)
        assert self._left() == set(), self._seen()

    def _meet_heir(self, is_heir: Callable[[int], bool], within: float) -> None:
        """Wait until the one who must delete is about to, and see that there is something to delete.

        Args:
            is_heir: Whether a process is that one.
            within: Seconds. A reaper promises a time; the next session begins when somebody starts it.
        """
        self._gone(within, lambda: any(is_heir(pid) for pid in self._engine.stood(_DELETE)))
        assert self._left(), "somebody else deleted"
