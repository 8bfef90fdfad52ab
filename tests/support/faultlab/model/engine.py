"""Fake engines that tell the world what happens in them, and a process's way to one, on which it may die.

They judge nothing.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from faultlab.model.clock import WorldClock
from faultlab.model.place import Client, Seen, Told
from vmharness import Provider
from vmharness.provider import MachineInfo, Spec
from vmharness_fake import FakeProvider, Fault, Faults, Latencies, MemoryStore, UnlabelledFakeProvider
from vmharness_fake._calls import Call
from vmharness_fake._engine import Engine, StoredMachine

__all__ = ["Bare", "FakePlace", "Labelled", "WatchedStore"]

# For how long after its deadline a create may still bring a machine, as the engines say, in seconds.
_SETTLE_S: Final = 10.0
_LATENCIES: Final = Latencies(create_s=1.0, settle_s=_SETTLE_S)


class WatchedStore(MemoryStore):
    """An engine that tells of each machine as it takes it in, and as it begins to delete it."""

    def __init__(self, endpoint: str, told: Told) -> None:
        super().__init__(endpoint)
        self._told = told

    @contextmanager
    def locked(self) -> Generator[Engine]:
        """Give the engine to one caller alone, and tell what that one has changed."""
        with super().locked() as engine:
            before = dict(engine.machines)
            yield engine
            for name, machine in engine.machines.items():
                old = before.get(name)
                if old is None or old.uid != machine.uid:
                    self._told.born(self.endpoint, _seen(machine))
                elif machine.gone_at is not None and old.gone_at is None:
                    self._told.doomed(self.endpoint, machine.uid, machine.gone_at)


def _seen(machine: StoredMachine) -> Seen:
    return Seen(
        uid=machine.uid,
        name=machine.spec.name,
        labels=machine.spec.labels,
        appears=machine.appears_at,
    )


class Bare(UnlabelledFakeProvider):
    """A process's way to an engine without labels, which says creation times by the wall clock."""

    def __init__(self, store: WatchedStore, clock: WorldClock, client: Client) -> None:
        super().__init__(store, latencies=_LATENCIES, clock=clock.monotonic, sleep=clock.sleep)
        self._wall_at = clock.wall_at
        self._client = client

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        """Make a machine."""
        self._client.asks(self.endpoint, spec, timeout + _SETTLE_S)
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


class FakePlace:
    """A fake engine.

    Args:
        way: How a process comes to it.
        store: What it has.
        clock: The world's.
    """

    def __init__(self, way: type[Bare], store: WatchedStore, clock: WorldClock) -> None:
        self._way = way
        self._store = store
        self._clock = clock

    @property
    def endpoint(self) -> str:
        """Its endpoint."""
        return self._store.endpoint

    @property
    def settle_s(self) -> float:
        """As its provider says."""
        return _SETTLE_S

    def connect(self, client: Client) -> Provider:
        """Return a process's way to it."""
        return self._way(self._store, self._clock, client)

    def hand(self) -> Provider:
        """Return the way of somebody who has nothing to do with vmharness."""
        return FakeProvider(self._store, clock=self._clock.monotonic, sleep=self._clock.sleep)

    def trouble(self, fault: Fault) -> None:
        """Let it go wrong, besides what goes wrong already."""
        self._store.set_faults(Faults(tuple({*self._striking(), fault})))

    def heal(self) -> None:
        """Let it do as it is told."""
        self._store.set_faults(Faults())

    @property
    def calm(self) -> bool:
        """Whether nothing goes wrong."""
        return not self._striking()

    def pass_time(self) -> None:
        """Tell what time alone has changed: nothing."""

    def _striking(self) -> Sequence[Fault]:
        with self._store.locked() as engine:
            rules = engine.faults.rules
            return [rule for rule in rules if engine.counts.get(rule.key(), 0) < (rule.last or 0)]
