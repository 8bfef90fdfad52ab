"""Backends whose create is wrong."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from vmharness.errors import CreateFailed, CreateTimeout, CreateUnsettled, NameTaken, ProviderError
from vmharness.provider import LABEL_TOKEN, MachineInfo, MachineState, Spec
from wrong_backends.right import Right, RightUnlabelled, change, in_a_kits_thread, is_watched, meet

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


# ---- times -----------------------------------------------------------------------------------------------


class Milliseconds(Right):
    """The time of creation is in milliseconds."""

    def _shown(self, info: MachineInfo) -> MachineInfo:
        return replace(info, created_at=(info.created_at or 0) * 1000)


class LocalTime(Right):
    """The time of creation is that of a time zone, two hours ahead."""

    def _shown(self, info: MachineInfo) -> MachineInfo:
        return replace(info, created_at=(info.created_at or 0) + 7200)


class Booted(Right):
    """The time of creation is when the image was made."""

    def _shown(self, info: MachineInfo) -> MachineInfo:
        return replace(info, created_at=(info.created_at or 0) - 86400)


class Timeless(Right):
    """The engine has labels, and the time of creation isn't known."""

    def _shown(self, info: MachineInfo) -> MachineInfo:
        return replace(info, created_at=None)


class TimelessUnlabelled(RightUnlabelled):
    """The engine has neither labels nor times."""

    def _shown(self, info: MachineInfo) -> MachineInfo:
        return replace(super()._shown(info), created_at=None)


# ---- labels ----------------------------------------------------------------------------------------------


class Unlabelling(Right):
    """Labels are lost."""

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        return super().create(replace(spec, labels={}), timeout=timeout)


class CuttingLabels(Right):
    """Labels are cut to 63 characters."""

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        cut = {key: value[:63] for key, value in spec.labels.items()}
        return super().create(replace(spec, labels=cut), timeout=timeout)


class MendingLabels(Right):
    """In labels, what isn't a letter or a digit becomes a hyphen."""

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        mended = {
            key: "".join(letter if letter.isalnum() else "-" for letter in value)
            for key, value in spec.labels.items()
        }
        return super().create(replace(spec, labels=mended), timeout=timeout)


class Boasting(Right):
    """Longer labels are promised than the engine takes."""

    @property
    def label_length(self) -> int:
        return 4096


class Curt(Right):
    """Labels are too short for a token."""

    @property
    def label_length(self) -> int:
        return 16


class LabellingLater(Right):
    """Labels are put on a machine that is there already."""

    _bare: Final = threading.Event()
    _looked: Final = threading.Event()

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        self._looked.clear()
        super().create(replace(spec, labels={}), timeout=timeout)
        if is_watched():
            self._bare.set()
            self._looked.wait(_WAIT_S)
            self._bare.clear()
        change(self, spec.name, spec=spec)
        return next(info for info in self.list() if info.name == spec.name)

    def list(self) -> Sequence[MachineInfo]:
        bare = self._bare.is_set()
        listing = super().list()
        if bare:
            self._looked.set()
        return listing


class Staining(Right):
    """A machine without labels gets those of the one before."""

    _last: Mapping[str, str] = {LABEL_TOKEN: ""}

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        labels = spec.labels or type(self)._last
        type(self)._last = labels
        return super().create(replace(spec, labels=labels), timeout=timeout)


class Emptying(RightUnlabelled):
    """An engine without labels lists empty ones."""

    def _shown(self, info: MachineInfo) -> MachineInfo:
        return replace(info, labels={})


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
    """Whether a name is free is asked before, and not when the machine is made."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._barrier = threading.Barrier(2)

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        if in_a_kits_thread() and not self.exists(spec.name):
            meet(self._barrier)
            with self.store.locked() as engine:
                engine.machines.pop(spec.name, None)
        return super().create(spec, timeout=timeout)
