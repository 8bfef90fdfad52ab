"""Where processes live and die at their points, each on a stage of its own, and what must be found there.

It tells what is wrong by AssertionError; which deaths are tried is the tests' affair.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from faultlab.crash_cycles import SETTLE_S, Order
from faultlab.crash_nursery import Nursery
from faultlab.crash_points import Death, release
from faultlab.fake import FakeStage
from faultlab.stage import eventually
from vmharness._clock import Clock
from vmharness._ledger import FileLedgers
from vmharness._model import State
from vmharness._providers import Providers
from vmharness._session import Session
from vmharness._settings import Settings
from vmharness.lifecycle.sweep import Sweep
from vmharness.lifecycle.teardown import Teardown
from vmharness.lifecycle.tracking import Tracking
from vmharness.provider import Spec
from vmharness.testing import FakeClock
from vmharness_fake import FakeProvider, FolderFakeProvider, Latencies, UnlabelledFolderFakeProvider

__all__ = ["STRANGERS", "Theatre", "at_each", "ledgers"]

# Machines of others, with names like those that the cycles make up or choose.
STRANGERS: Final = {"vmh-test-one-aaaaaaaaaa", "vmh-test-two-bbbbbbbbbb", "vmh-test", "web-old", "webby"}

# What a process may take to come to a point, in seconds, with all cores busy.
_LIFE_S: Final = 30.0
# Longer than a tombstone stays, in seconds.
_DAY_S: Final = 26 * 3600.0


class Theatre:
    """One cycle, to be lived again and again.

    Args:
        folder: Where the stages are.
        nursery: Where processes come from.
        cycle: One of `faultlab.crash_cycles.CYCLES`.
        labels: Whether the engine has labels.
        lifecycle: Names of the processes' lifecycle plugins.
    """

    def __init__(
        self, folder: Path, nursery: Nursery, cycle: str, *, labels: bool, lifecycle: Sequence[str]
    ) -> None:
        self._folder = folder
        self._nursery = nursery
        self._cycle = cycle
        self._labels = labels
        self._lifecycle = list(lifecycle)
        self._numbers = itertools.count()

    def stage(self, strangers: set[str] = STRANGERS) -> FakeStage:
        """Set up an engine that has strangers' machines."""
        stage = FakeStage(self._folder / str(next(self._numbers)))
        long_ago = FakeProvider(stage.store, clock=lambda: time.time() - 60)
        for name in strangers:
            labels = {"vmharness.token": "f" * 32} if name.endswith("b") else {}
            long_ago.create(Spec(name=name, labels=labels), timeout=5)
        return stage

    def live(self, stage: FakeStage, at: str = "", how: Death = Death.KILL) -> int:
        """Let a process live there, and die at a point; return how it ended."""
        return self._live(stage, at, how, self._cycle, self._lifecycle)

    def leave_orphan(self, stage: FakeStage, cycle: str, at: str) -> None:
        """Let a process of another cycle be killed there, which cleans up after nobody before it."""
        status = self._live(stage, at, Death.KILL, cycle, ["tracking", "teardown"])
        assert status == -signal.SIGKILL

    def _live(self, stage: FakeStage, at: str, how: Death, cycle: str, lifecycle: list[str]) -> int:
        self._start(stage, at, how, cycle, lifecycle)
        return self._nursery.wait()

    def stand(self, stage: FakeStage, at: str) -> None:
        """Let a process live there until it has come to a point, where it stands still."""
        self._start(stage, at, Death.STAND, self._cycle, self._lifecycle)
        eventually(lambda: at in self.passed(stage), _LIFE_S, lambda: self.passed(stage))

    def go_on(self, stage: FakeStage) -> int:
        """Let the process that stands still go on; return how it ended."""
        release(_log(stage, self._cycle)).touch()
        return self._nursery.wait()

    def await_reaper(self, stage: FakeStage) -> None:
        """Wait until the reaper has ended, and the engine has done what it was asked for."""
        _await_engine(stage)
        self._nursery.wait_for_all()
        _await_engine(stage)
        for log in stage.state.glob("*/reaper.log"):
            assert "Traceback" not in log.read_text()

    def _start(self, stage: FakeStage, at: str, how: Death, cycle: str, lifecycle: list[str]) -> None:
        self._nursery.start(
            Order(
                cycle=cycle,
                engine=str(stage.store.path),
                state=str(stage.state),
                log=str(_log(stage, cycle)),
                labels=self._labels,
                lifecycle=lifecycle,
                at=at,
                how=how,
            )
        )

    def rehearse(self, prepare: Callable[[FakeStage], None] | None = None) -> list[str]:
        """Let a process live to its end, which leaves nothing; return the points that it passed."""
        stage = self.stage()
        if prepare is not None:
            prepare(stage)
        assert self.live(stage) == 0
        self.await_reaper(stage)
        assert stage.names() == STRANGERS
        assert ledgers(stage) == []
        return self.passed(stage)

    def passed(self, stage: FakeStage) -> list[str]:
        """Return the points that the process passed, so far."""
        try:
            return _log(stage, self._cycle).read_text().splitlines()
        except FileNotFoundError:
            return []

    def sweep(
        self, stage: FakeStage, settings: Settings | None = None, clock: Clock | None = None
    ) -> list[str]:
        """Open and close the next session; return what it reported."""
        kind = FolderFakeProvider if self._labels else UnlabelledFolderFakeProvider
        provider = kind(stage.store, latencies=Latencies(settle_s=SETTLE_S))
        session = Session(
            settings or Settings(backend="fake"),
            ledgers=FileLedgers(stage.state),
            plugins=[("sweep", Sweep()), ("tracking", Tracking()), ("teardown", Teardown())],
            providers=Providers("fake", connect=lambda backend, endpoint: provider),
            clock=clock,
        )
        session.open()
        session.close()
        return session.tally.reports

    def end(self, stage: FakeStage) -> None:
        """Let the next session clean up: no machine is left, and no ledger but of creates never heard of.

        Those are tombstones, which a day later are gone as well.
        """
        for path in stage.state.glob("*/.*"):
            os.utime(
                path, (1, 1)
            )  # what a process left that died while it made its ledger goes when it is old
        _await_engine(stage)
        seen = stage.names() - STRANGERS
        self.sweep(stage)
        assert stage.names() == STRANGERS
        for path in ledgers(stage):
            _check_tombstones(path, seen)
        self.sweep(stage, clock=FakeClock(time.time() + _DAY_S))
        assert list(stage.state.glob("*/.*")) == []
        assert ledgers(stage) == []
        assert stage.names() == STRANGERS


def at_each(points: Sequence[str], check: Callable[[str], None]) -> None:
    """Check each point, and fail with all at which the check does."""
    failed: list[str] = []
    for point in points:
        try:
            check(point)
        except AssertionError as exc:
            failed.append(f"{point}: {exc}")
    assert not failed, "\n".join(failed)


def ledgers(stage: FakeStage) -> list[Path]:
    """Return the ledgers in sight."""
    return sorted(stage.state.glob("*/*.ledger"))


def _log(stage: FakeStage, cycle: str) -> Path:
    return stage.folder / f"points-{cycle}"


def _await_engine(stage: FakeStage) -> None:
    """Wait until what the engine was asked to make is there, late or not, and what it deletes is gone."""

    def is_done() -> bool:
        try:
            machines = json.loads((stage.store.path / "machines.json").read_text())["machines"]
        except FileNotFoundError:
            return True
        return all(max(m["appears_at"], m["gone_at"] or 0.0) <= time.time() for m in machines)

    eventually(is_done, 10, lambda: "the engine's own time")


def _check_tombstones(path: Path, seen: set[str]) -> None:
    """Let a ledger name nothing but what may still come.

    Args:
        path: The ledger.
        seen: Names of machines that were there after the death.
    """
    ledger = FileLedgers(path.parent.parent).read(path)
    assert not ledger.damage
    lines = [json.loads(line) for line in path.read_text().splitlines()[1:]]
    for record in ledger.records.values():
        if record.state is not State.GONE:
            states = {line["state"] for line in lines if line.get("id") == record.id}
            assert states <= {State.WANTED, State.MAYBE}, f"{record.name} was made, and must be GONE"
            assert not record.tracked, f"{record.name} is nobody's create of ours"
            assert record.name not in seen, f"{record.name} was deleted on sight, and must be GONE"
