"""Backends whose create is wrong."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from vmharness.errors import (
    CreateFailed,
    CreateTimeout,
    CreateUnsettled,
    EngineUnavailable,
    NameTaken,
    ProviderError,
)
from vmharness.provider import MachineInfo, MachineState, Spec
from wrong_backends.right import Right, change, in_a_kits_thread, meet

_LONG_S: Final = 1e6
_WAIT_S: Final = 5.0


class Early(Right):
    """Create returns before the machine runs, and says that it does."""

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        info = super().create(spec, timeout=timeout)
        change(self, spec.name, ready_at=self._clock() + _LONG_S)
        return info


class Understating(Right):
    """Create returns what the machine was at first."""

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        return replace(super().create(spec, timeout=timeout), state=MachineState.CREATING)


class Qualifying(Right):
    """Create returns the name with something added."""

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        return replace(super().create(spec, timeout=timeout), name=f"{spec.name}.local")


class Cutting(Right):
    """A name is cut to 32 characters silently."""

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        return super().create(replace(spec, name=spec.name[:32]), timeout=timeout)


class Mending(Right):
    """A name that the engine can't have is mended."""

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        mended = "".join(
            letter for letter in spec.name if (letter.isascii() and letter.isalnum()) or letter == "-"
        )
        return super().create(replace(spec, name=mended.strip("-") or "machine"), timeout=timeout)


class Blunt(Right):
    """A name that the engine can't have is a ValueError."""

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        if not spec.name.replace("-", "").isalnum():
            raise ValueError(f"bad name {spec.name!r}")
        return super().create(spec, timeout=timeout)


class Adopting(Right):
    """A machine of that name is taken for what was asked for."""

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        try:
            return super().create(spec, timeout=timeout)
        except NameTaken:
            return next(info for info in self.list() if info.name == spec.name)


class Replacing(Right):
    """A machine of that name is deleted, and made anew."""

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        self.delete(spec.name, timeout=timeout)
        return super().create(spec, timeout=timeout)


class Overwriting(Right):
    """NameTaken is raised, and the other machine has got the new labels."""

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        try:
            return super().create(spec, timeout=timeout)
        except NameTaken:
            change(self, spec.name, spec=spec)
            raise


class Undecided(Right):
    """A taken name is a create that failed."""

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        try:
            return super().create(spec, timeout=timeout)
        except NameTaken as exc:
            raise CreateFailed(str(exc), backend=exc.backend, machine=exc.machine) from exc


class Jealous(Right):
    """The name of a deleted machine stays taken."""

    _had: Final = set[str]()

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        if spec.name in self._had:
            raise NameTaken(f"cannot create {spec.name!r}: it was there", backend="fake", machine=spec.name)
        return super().create(spec, timeout=timeout)

    def delete(self, name: str, *, timeout: float) -> None:
        self._had.update(info.name for info in self.list() if info.name == name)
        super().delete(name, timeout=timeout)


class AnyImage(Right):
    """An unknown image is the default one."""

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        known = spec.image in self.images()
        return super().create(spec if known else replace(spec, image=""), timeout=timeout)


class Leaking(Right):
    """A create that fails leaves half a machine."""

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        try:
            return super().create(spec, timeout=timeout)
        except CreateFailed:
            with suppress(ProviderError):
                super().create(replace(spec, image=""), timeout=timeout)
            raise


class Patient(Right):
    """Create ignores its deadline."""

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        return super().create(spec, timeout=_LONG_S)


class LateToSay(Right):
    """Create says that its deadline passed, but only when the machine is ready."""

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        began = self._clock()
        info = super().create(spec, timeout=_LONG_S)
        if self._clock() - began > timeout:
            raise CreateTimeout(f"create {spec.name!r}: too late", backend="fake", machine=spec.name)
        return info


class Hasty(Right):
    """At its deadline create returns what is there, as if it were ready."""

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        try:
            return super().create(spec, timeout=timeout)
        except CreateTimeout:
            return MachineInfo(name=spec.name, state=MachineState.RUNNING, labels=spec.labels)


class Sure(Right):
    """A create whose deadline passed is said to have failed, and its machine comes all the same."""

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        try:
            return super().create(spec, timeout=timeout)
        except CreateTimeout as exc:
            raise CreateFailed(str(exc), backend="fake", machine=spec.name) from exc


class Vague(Right):
    """A create whose deadline passed is unsettled, and nobody hears why."""

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        try:
            return super().create(spec, timeout=timeout)
        except CreateTimeout as exc:
            raise CreateUnsettled(str(exc), backend="fake", machine=spec.name) from exc


class Bare(Right):
    """A passed deadline is Python's own TimeoutError."""

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        try:
            return super().create(spec, timeout=timeout)
        except CreateTimeout as exc:
            raise TimeoutError(str(exc)) from exc


class Rising(Right):
    """A machine that comes late comes under another name."""

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        try:
            return super().create(spec, timeout=timeout)
        except CreateTimeout:
            with self.store.locked() as engine:
                machine = engine.machines.pop(spec.name)
                late = replace(machine.spec, name=f"{spec.name}-1")
                engine.machines[late.name] = replace(machine, spec=late)
            raise


class UnavailableCreate(Right):
    """A create that reached nobody is EngineUnavailable."""

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        self.list()
        return super().create(spec, timeout=timeout)


class Dreaming(Right):
    """A create that reached nobody is a success."""

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        try:
            self.list()
        except EngineUnavailable:
            return MachineInfo(name=spec.name, state=MachineState.RUNNING)
        return super().create(spec, timeout=timeout)


# ---- errors ----------------------------------------------------------------------------------------------


class Coded(NameTaken):
    """An error that needs what pickle doesn't keep for it."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(f"{message} ({code})", backend="fake")
        self.code = code


class Unpicklable(Right):
    """NameTaken doesn't pickle."""

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        try:
            return super().create(spec, timeout=timeout)
        except NameTaken as exc:
            error = Coded(str(exc), 409)
            error.machine = spec.name
            raise error from exc


class Anonymous(Right):
    """Errors say nothing of backend and machine."""

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        try:
            return super().create(spec, timeout=timeout)
        except NameTaken as exc:
            raise NameTaken(str(exc)) from exc


# ---- threads ---------------------------------------------------------------------------------------------


class Sharing(Right):
    """What a create asks for is kept in the provider, where another thread's create changes it."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._spec = Spec(name="")
        self._barrier = threading.Barrier(4)

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        self._spec = spec
        meet(self._barrier)
        return super().create(self._spec, timeout=timeout)


class Racing(Right):
    """Whether a name is free is asked before, not when the machine is made: all at once hear that it is."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._free: set[str] = set()
        self._one = threading.Lock()

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        if not in_a_kits_thread():
            return super().create(spec, timeout=timeout)
        with self._one:
            if not self.exists(spec.name):
                self._free.add(spec.name)
            if spec.name in self._free:
                with self.store.locked() as engine:
                    engine.machines.pop(spec.name, None)
            return super().create(spec, timeout=timeout)
