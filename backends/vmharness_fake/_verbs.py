"""The four verbs, on an engine that a store keeps; it knows not where that is, nor any capability."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import Final

from vmharness.errors import (
    Busy,
    CreateFailed,
    CreateTimeout,
    CreateUnsettled,
    DeleteFailed,
    EngineUnavailable,
    NameTaken,
)
from vmharness.provider import MachineInfo, MachineState, Provider, Spec
from vmharness_fake._calls import Call, Clock, Sleep, passing
from vmharness_fake._engine import StoredMachine
from vmharness_fake._faults import Faults
from vmharness_fake._settings import Latencies
from vmharness_fake._specs import complete
from vmharness_fake._store import Store

__all__ = ["Verbs"]

_ANSWER_S: Final = 60.0  # the deadline of calls that are given none
_INSTANT: Final = Latencies()
_no_answer: Final = partial(EngineUnavailable, backend="fake")


class Verbs(Provider):
    """Machines of a fake engine.

    Args:
        store: The engine's home.
        latencies: How slow the engine is.
        faults: What shall go wrong with the engine from now on; None = what its store says.
        clock: Returns seconds since the epoch.
        sleep: Waits for some seconds.
    """

    def __init__(
        self,
        store: Store,
        *,
        latencies: Latencies = _INSTANT,
        faults: Faults | None = None,
        clock: Clock = time.time,
        sleep: Sleep = time.sleep,
    ) -> None:
        self.store: Final = store
        self._latencies: Final = latencies
        self._clock: Final = clock
        self._sleep: Final = sleep
        if faults is not None:
            store.set_faults(faults)

    @property
    def endpoint(self) -> str:
        """`memory:PID:RANDOM` or `folder:PATH`."""
        return self.store.endpoint

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        """Make a machine, as `Provider.create` says. Begun, it gets ready whatever becomes of us."""
        accepted: StoredMachine | None = None
        try:
            self.store.prepare()
            late = partial(CreateTimeout, backend="fake", machine=spec.name)
            with self._call("create", spec.name, timeout, late=late) as call:
                accepted = self._accept(complete(spec), call)
                return self._await(accepted, call)
        except EngineUnavailable as exc:
            error = CreateFailed if accepted is None else CreateUnsettled
            raise error(str(exc), backend="fake", machine=spec.name) from exc

    def list(self) -> Sequence[MachineInfo]:
        """Return all machines, as `Provider.list` says."""
        with self._call("list"), self.store.locked() as engine:
            now = self._clock()
            infos = (machine.info(now) for machine in engine.machines.values())
            return [self._shown(info) for info in infos if info is not None]

    def delete(self, name: str, *, timeout: float) -> None:
        """Delete the machine, as `Provider.delete` says. Begun, it ends whatever becomes of us."""
        late = partial(DeleteFailed, backend="fake", machine=name)
        with self._call("delete", name, timeout, late=late) as call:
            gone_at = self._doom(name, call)
            if gone_at is None:
                return
            call.come_to("accepted")
            if not call.wait_until(gone_at):
                raise late(f"cannot delete {name!r} in {timeout:g} s: the fake engine is still at it")

    def exists(self, name: str) -> bool:
        """Say whether a machine of that name is there, as `Provider.exists` says."""
        with self._call("exists", name):
            return self._find(name) is not None

    def _call(
        self,
        verb: str,
        name: str = "",
        timeout: float = _ANSWER_S,
        *,
        late: Callable[[str], Exception] = _no_answer,
    ) -> AbstractContextManager[Call]:
        deadline = self._clock() + timeout
        return passing(
            Call(self.store, verb, name, deadline=deadline, late=late, clock=self._clock, sleep=self._sleep)
        )

    def _find(self, name: str) -> MachineInfo | None:
        with self.store.locked() as engine:
            info = engine.find(name, self._clock())
        return info and self._shown(info)

    def _shown(self, info: MachineInfo) -> MachineInfo:
        """Return what a listing shows of the machine: here, no labels."""
        return replace(info, labels=None)

    def _accept(self, spec: Spec, call: Call) -> StoredMachine:
        """Begin to make the machine."""
        if "fails" in call.faults:
            raise CreateFailed(
                f"cannot create {spec.name!r}: the fake engine's faults say so",
                backend="fake",
                machine=spec.name,
            )
        now = self._clock()
        appears_at = call.deadline + call.faults["late"].seconds if "late" in call.faults else now
        machine = StoredMachine(
            uid=secrets.token_hex(8),
            spec=spec,
            appears_at=appears_at,
            ready_at=appears_at + self._latencies.create_s + call.extra_s(),
        )
        with self.store.locked() as engine:
            if not engine.add(machine, now):
                raise NameTaken(
                    f"cannot create {spec.name!r}: the fake engine has a machine of that name; "
                    "delete it, or choose another name",
                    backend="fake",
                    machine=spec.name,
                )
            engine.log.append(call.event("accepted"))
        return machine

    def _await(self, machine: StoredMachine, call: Call) -> MachineInfo:
        """Wait until the machine can be used."""
        name = machine.spec.name
        call.come_to("accepted")
        if "lost" in call.faults:
            raise CreateUnsettled(
                f"create {name!r}: the fake engine's answer is lost, as its faults say",
                backend="fake",
                machine=name,
            )
        if not call.wait_until(machine.ready_at) or "late" in call.faults:
            raise CreateTimeout(
                f"create {name!r}: not ready at its deadline; the fake engine is still at it",
                backend="fake",
                machine=name,
            )
        with self.store.locked() as engine:
            now = self._clock()
            made = engine.machines.get(name)
            info = made.info(now) if made is not None and made.uid == machine.uid else None
        if info is None or info.state is MachineState.DELETING:
            raise CreateFailed(
                f"cannot create {name!r}: somebody deleted it before it was ready",
                backend="fake",
                machine=name,
            )
        return self._shown(info)

    def _doom(self, name: str, call: Call) -> float | None:
        """Begin to delete the machine, and return when it will be gone; None: nothing to wait for."""
        with self.store.locked() as engine:
            now = self._clock()
            info = engine.find(name, now)
            if info is None or "lies" in call.faults:
                return None
            creating = info.state is MachineState.CREATING
            if "busy" in call.faults or ("busy-creating" in call.faults and creating):
                raise Busy(f"cannot delete {name!r} now: it is {info.state}", backend="fake", machine=name)
            if "fails" in call.faults:
                raise DeleteFailed(
                    f"cannot delete {name!r}: the fake engine's faults say so", backend="fake", machine=name
                )
            machine = engine.machines[name]
            if machine.gone_at is None:
                machine = replace(machine, gone_at=now + self._latencies.delete_s + call.extra_s())
                engine.machines[name] = machine
            engine.log.append(call.event("accepted"))
            return machine.gone_at
