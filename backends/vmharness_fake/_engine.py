"""What the engine remembers: its machines, and how often each fault was met.

What a machine is doing follows from its times alone, so that it goes on when the process that asked for it
is dead. It knows neither where all this is kept nor who asks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from vmharness.provider import Kind, MachineInfo, MachineState, Spec
from vmharness_fake._events import Event
from vmharness_fake._faults import Faults

__all__ = ["Engine", "StoredMachine"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMachine:
    """One machine. Times are seconds since the epoch.

    Attributes:
        uid: Tells it from earlier and later machines of the same name.
        spec: What was asked for.
        appears_at: From when it is there, being created.
        ready_at: From when it runs.
        gone_at: When it will be gone; None = nobody deletes it.
        stopped: Whether somebody stopped it.
        files: What was copied into it, in base64 by path.
    """

    uid: str
    spec: Spec
    appears_at: float
    ready_at: float
    gone_at: float | None = None
    stopped: bool = False
    files: Mapping[str, str] = field(default_factory=dict[str, str])

    def is_gone(self, now: float) -> bool:
        """Say whether it has been deleted."""
        return self.gone_at is not None and now >= self.gone_at

    def info(self, now: float) -> MachineInfo | None:
        """Return what the engine says of it; None: it isn't there, not yet or no longer."""
        if now < self.appears_at or self.is_gone(now):
            return None
        if self.gone_at is not None:
            state = MachineState.DELETING
        elif now < self.ready_at:
            state = MachineState.CREATING
        else:
            state = MachineState.STOPPED if self.stopped else MachineState.RUNNING
        return MachineInfo(
            name=self.spec.name,
            state=state,
            image=self.spec.image,
            created_at=self.appears_at,
            labels=self.spec.labels,
        )


@dataclass(slots=True)
class Engine:
    """The engine while one caller has it for itself.

    Attributes:
        machines: By name, those included that aren't there yet or no longer.
        faults: What shall go wrong; only read.
        counts: How many calls each fault has met.
        log: Events; new ones are appended.
    """

    machines: dict[str, StoredMachine] = field(default_factory=dict[str, StoredMachine])
    faults: Faults = field(default_factory=Faults)
    counts: dict[str, int] = field(default_factory=dict[str, int])
    log: list[Event] = field(default_factory=list[Event])

    def add(self, machine: StoredMachine, now: float) -> bool:
        """Take the machine in; False: its name is taken, and nothing was changed."""
        self.machines = {name: old for name, old in self.machines.items() if not old.is_gone(now)}
        return self.machines.setdefault(machine.spec.name, machine) is machine

    def find(self, name: str, now: float) -> MachineInfo | None:
        """Return what it says of a machine; None: it is absent."""
        return self.machines[name].info(now) if name in self.machines else None

    def dump(self) -> str:
        """Return machines and counts as JSON."""
        machines = [asdict(machine) for machine in self.machines.values()]
        return json.dumps({"machines": machines, "counts": self.counts}, indent=1)

    @classmethod
    def load(cls, text: str, faults: Faults) -> Engine:
        """Read machines and counts back; raise ValueError if the text is none of ours."""
        try:
            data: dict[str, Any] = json.loads(text)
            machines = [_load_machine(item) for item in data["machines"]]
            return cls({machine.spec.name: machine for machine in machines}, faults, data["counts"])
        except (AttributeError, KeyError, TypeError) as exc:
            raise ValueError(f"malformed machines: {exc!r}") from exc


def _load_machine(item: dict[str, Any]) -> StoredMachine:
    spec: dict[str, Any] = item["spec"] | {"kind": Kind(item["spec"]["kind"])}
    changed: dict[str, Any] = item | {"spec": Spec(**spec)}
    return StoredMachine(**changed)
