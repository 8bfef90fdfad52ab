"""Backends of which clone or rename is wrong."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from vmharness.errors import CreateFailed, NameTaken, ProviderError
from vmharness.provider import MachineInfo, Spec
from wrong_backends.right import Right, change

# ---- clone -----------------------------------------------------------------------------------------------


class SharingLabels(Right):
    """A clone has its source's labels, whatever is asked for."""

    def clone(self, source: str, spec: Spec, *, timeout: float) -> MachineInfo:
        asked = dict(spec.labels)
        for info in self.list():
            if info.name == source:
                asked.update(info.labels or {})
        return super().clone(source, replace(spec, labels=asked), timeout=timeout)


class KeepingLabels(Right):
    """A clone has its source's labels beside those that are asked for."""

    def clone(self, source: str, spec: Spec, *, timeout: float) -> MachineInfo:
        theirs = {
            key: value
            for info in self.list()
            if info.name == source
            for key, value in (info.labels or {}).items()
        }
        return super().clone(source, replace(spec, labels={**theirs, **spec.labels}), timeout=timeout)


class StoppedSource(Right):
    """To be cloned, the source is stopped, and stays so."""

    def clone(self, source: str, spec: Spec, *, timeout: float) -> MachineInfo:
        info = super().clone(source, spec, timeout=timeout)
        self.stop(source, timeout=timeout)
        return info


class EmptyClone(Right):
    """A clone is a new machine of the same image."""

    def clone(self, source: str, spec: Spec, *, timeout: float) -> MachineInfo:
        info = super().clone(source, spec, timeout=timeout)
        change(self, spec.name, files={})
        return info


class StoppedClone(Right):
    """A clone doesn't run."""

    def clone(self, source: str, spec: Spec, *, timeout: float) -> MachineInfo:
        super().clone(source, spec, timeout=timeout)
        self.stop(spec.name, timeout=timeout)
        return next(info for info in self.list() if info.name == spec.name)


class Recloning(Right):
    """A machine that has the clone's name is replaced."""

    def clone(self, source: str, spec: Spec, *, timeout: float) -> MachineInfo:
        self.delete(spec.name, timeout=timeout)
        return super().clone(source, spec, timeout=timeout)


class UnsureClone(Right):
    """To clone what isn't there is any error."""

    def clone(self, source: str, spec: Spec, *, timeout: float) -> MachineInfo:
        try:
            return super().clone(source, spec, timeout=timeout)
        except CreateFailed as exc:
            raise ProviderError(str(exc), backend="fake", machine=source) from exc


# ---- rename ----------------------------------------------------------------------------------------------


class Copying(Right):
    """What is renamed is there under both names."""

    def rename(self, name: str, new: str, *, timeout: float) -> None:
        with self.store.locked() as engine:
            before = engine.machines.get(name)
        super().rename(name, new, timeout=timeout)
        with self.store.locked() as engine:
            if before is not None:
                engine.machines[name] = before


class Remaking(Right):
    """What is renamed is a new machine like the old one."""

    def rename(self, name: str, new: str, *, timeout: float) -> None:
        super().rename(name, new, timeout=timeout)
        change(self, new, files={})


class Unlabelling(Right):
    """What is renamed loses its labels."""

    def rename(self, name: str, new: str, *, timeout: float) -> None:
        super().rename(name, new, timeout=timeout)
        with self.store.locked() as engine:
            spec = replace(engine.machines[new].spec, labels={})
        change(self, new, spec=spec)


class StoppedForIt(Right):
    """To be renamed, a machine is stopped, and stays so."""

    def rename(self, name: str, new: str, *, timeout: float) -> None:
        super().rename(name, new, timeout=timeout)
        self.stop(new, timeout=timeout)


class StoppedForNothing(Right):
    """A machine is stopped before it turns out that there is one of its new name."""

    def rename(self, name: str, new: str, *, timeout: float) -> None:
        try:
            super().rename(name, new, timeout=timeout)
        except NameTaken:
            self.stop(name, timeout=timeout)
            raise


class Ousting(Right):
    """A machine that has the new name is replaced."""

    def rename(self, name: str, new: str, *, timeout: float) -> None:
        self.delete(new, timeout=timeout)
        super().rename(name, new, timeout=timeout)


class Renaming(Right):
    """To rename what isn't there is a success."""

    def rename(self, name: str, new: str, *, timeout: float) -> None:
        with suppress(ProviderError):
            super().rename(name, new, timeout=timeout)
