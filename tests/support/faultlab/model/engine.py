"""Engines that tell the world what happens in them, and a process's way to one, on which it may die.

They judge nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final, Protocol

from faultlab.model.clock import WorldClock
from vmharness.provider import MachineInfo, Spec
from vmharness_fake import FakeProvider, Latencies, MemoryStore, UnlabelledFakeProvider
from vmharness_fake._calls import Call
from vmharness_fake._engine import Engine, StoredMachine

__all__ = ["SETTLE_S", "Bare", "Client", "Killed", "Labelled", "WatchedStore"]

# For how long after its deadline a create may still bring a machine, as the engines say, in seconds.
SETTLE_S: Final = 10.0
_LATENCIES: Final = Latencies(create_s=1.0, settle_s=SETTLE_S)


class Killed(BaseException):
    """The calling process is no more."""


class WatchedStore(MemoryStore):
    """An engine that tells of each machine as it takes it in, and as it begins to delete it."""

    def __init__(
        self,
        endpoint: str,
        *,
        born: Callable[[str, StoredMachine], None],
        doomed: Callable[[str, StoredMachine], None],
    ) -> None:
        super().__init__(endpoint)
        self._born = born
        self._doomed = doomed

    @contextmanager
    def locked(self) -> Generator[Engine]:
        """Give the engine to one caller alone, and tell what that one has changed."""
        with super().locked() as engine:
            before = dict(engine.machines)
            yield engine
            for name, machine in engine.machines.items():
                old = before.get(name)
                if old is None or old.uid != machine.uid:
                    self._born(self.endpoint, machine)
                elif machine.gone_at is not None and old.gone_at is None:
                    self._doomed(self.endpoint, machine)


class Client(Protocol):
    """The process that calls."""

    def asks(self, endpoint: str, spec: Spec, timeout: float) -> None:
        """Note that it is about to ask for a machine."""

    def comes_to(self, point: str) -> None:
        """Note how far a call of it has come; raise what strikes it there."""


class Bare(UnlabelledFakeProvider):
    """A process's way to an engine without labels, which says creation times by the wall clock."""

    def __init__(self, store: WatchedStore, clock: WorldClock, client: Client) -> None:
        super().__init__(store, latencies=_LATENCIES, clock=clock.monotonic, sleep=clock.sleep)
        self._wall_at = clock.wall_at
        self._client = client

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        """Make a machine."""
        self._client.asks(self.endpoint, spec, timeout)
        self._client.comes_to("create:before")
        info = super().create(spec, timeout=timeout)
        self._client.comes_to("create:after")
        return info

    def _await(self, machine: StoredMachine, call: Call) -> MachineInfo:
        self._client.comes_to("create:accepted")
        return super()._await(machine, call)

    def list(self) -> Sequence[MachineInfo]:
        """List all machines."""
        self._client.comes_to("list:before")
        infos = super().list()
        self._client.comes_to("list:after")
        return infos

    def delete(self, name: str, *, timeout: float) -> None:
        """Delete a machine."""
        self._client.comes_to("delete:before")
        super().delete(name, timeout=timeout)
        self._client.comes_to("delete:after")

    def exists(self, name: str) -> bool:
        """Say whether a machine is there."""
        self._client.comes_to("exists:before")
        return super().exists(name)

    def inspect(self, name: str) -> MachineInfo | None:
        """Return a machine."""
        self._client.comes_to("inspect:before")
        return super().inspect(name)

    def describe(self) -> str:
        """Describe the engine."""
        self._client.comes_to("describe:before")
        return super().describe()

    def _shown(self, info: MachineInfo) -> MachineInfo:
        shown = super()._shown(info)
        return replace(shown, created_at=self._wall_at(info.created_at or 0.0))


class Labelled(Bare, FakeProvider):
    """A process's way to an engine with labels."""
