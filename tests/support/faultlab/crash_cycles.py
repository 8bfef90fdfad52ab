"""What the processes do that die: each a life of a machine, as a session or a reaper leads it.

It knows nothing of what comes after the death.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from faultlab.crash_points import Points, WatchedLedgers, WatchedStore
from vmharness._books import Books
from vmharness._model import Record
from vmharness._plugins import load_lifecycle
from vmharness._providers import Providers
from vmharness._reaper.reap import reap
from vmharness._reports import write_report
from vmharness._session import Session
from vmharness._settings import Settings
from vmharness.errors import CleanupFailed, CreateTimeout
from vmharness.provider import Spec
from vmharness.testing import FakeClock
from vmharness_fake import (
    Fault,
    FolderFakeProvider,
    Latencies,
    UnlabelledFakeProvider,
    UnlabelledFolderFakeProvider,
)
from vmharness_fake import Faults as EngineFaults

__all__ = ["CREATE_S", "CYCLES", "LATE_S", "SETTLE_S", "Order", "live"]

# A create's deadline, how long after it a late machine appears, and how long it may take to, in seconds.
CREATE_S: Final = 0.05
LATE_S: Final = 0.1
SETTLE_S: Final = 0.4


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a process shall do.

    Attributes:
        cycle: One of CYCLES.
        engine: The engine's folder.
        state: The state folder.
        log: Where the points are told.
        labels: Whether the engine has labels.
        lifecycle: Names of the lifecycle plugins.
        at: The point at which to die; "" = none.
        how: How to die; a `Death`.
    """

    cycle: str
    engine: str
    state: str
    log: str
    labels: bool
    lifecycle: list[str]
    at: str
    how: str


class Life:
    """One process: its session, on a clock that stands still until somebody waits, so that points recur."""

    def __init__(self, order: Order, points: Points) -> None:
        self.points: Final = points
        self.clock: Final = FakeClock()
        self.ledgers: Final = WatchedLedgers(Path(order.state), points)
        self._order = order
        self._store = WatchedStore(Path(order.engine), points)

    def provider(self) -> UnlabelledFakeProvider:
        """Open the engine."""
        kind = FolderFakeProvider if self._order.labels else UnlabelledFolderFakeProvider
        latencies = Latencies(settle_s=SETTLE_S)
        return kind(self._store, latencies=latencies, clock=self.clock.time, sleep=self.clock.sleep)

    def providers(self) -> Providers:
        """Give the engine to whoever asks for the fake one."""
        return Providers("fake", connect=lambda backend, endpoint: self.provider())

    @contextmanager
    def session(self) -> Generator[Session]:
        """Open a session for a block, and close it, as `open_session` does."""
        session = Session(
            Settings(backend="fake", create_timeout=CREATE_S, lifecycle=tuple(self._order.lifecycle)),
            ledgers=self.ledgers,
            plugins=load_lifecycle(self._order.lifecycle),
            providers=self.providers(),
            clock=self.clock,
            start=lambda name, task: None,  # points recur only without a thread that looks by itself
        )
        try:
            session.open()
            yield session
        except BaseException:
            with suppress(CleanupFailed):
                session.close()
            raise
        self.points.reach("closing")
        session.close()


def _one(life: Life) -> None:
    with life.session() as session:
        machine = session.create(scope="test_one")
        machine.run(["true"])
        machine.delete()


def _two(life: Life) -> None:
    with life.session() as session, session.scope("test_two") as scope:
        session.create(scope=scope)
        session.create(name="web", scope=scope).run(["true"])


def _late(life: Life) -> None:
    life.provider().store.set_faults(EngineFaults((Fault("create", "late", seconds=LATE_S),)))
    with life.session() as session, session.scope("test_late") as scope, suppress(CreateTimeout):
        session.create(scope=scope)


def _tracked(life: Life, names: tuple[str, ...]) -> None:
    with life.session() as session, session.scope("test_tracked") as scope:
        session.named("web", scope=scope)
        for name in names:
            life.provider().create(Spec(name=name), timeout=CREATE_S)


def _sweep(life: Life) -> None:
    with life.session():
        pass


def _reap(life: Life) -> None:
    """Do what `vmharness._reaper.reap` does as a process."""

    def changed(before: Record | None, now: Record) -> None:
        del before, now

    for path in life.ledgers.paths():
        ledger = life.ledgers.claim(path)
        assert ledger is not None, "somebody else has it"
        books = Books(
            life.ledgers,
            ledger.session_id,
            life.providers(),
            life.clock,
            changed=changed,
            say=lambda text: None,
            silent_s=0.0,
        )
        try:
            reap(books, ledger, life.clock)
        finally:
            write_report(path, ["the reaper cleaned up after a dead run"])
            ledger.close()
            books.close()


CYCLES: Final[dict[str, Callable[[Life], None]]] = {
    "one": _one,
    "two": _two,
    "late": _late,
    "tracked": partial(_tracked, names=("web",)),
    "variant": partial(_tracked, names=("web", "web-1")),
    "sweep": _sweep,
    "reap": _reap,
}


def live(order: Order, points: Points) -> None:
    """Do what is ordered; the points end this process."""
    os.environ["VMHARNESS_FAKE_SETTLE_S"] = str(SETTLE_S)
    os.environ["VMHARNESS_FAKE_LABELS"] = str(int(order.labels))
    life = Life(order, points)
    points.watch(Path(order.state))
    CYCLES[order.cycle](life)
