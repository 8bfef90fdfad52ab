"""Backends whose delete is wrong."""

from __future__ import annotations

import fnmatch
import threading
from typing import Any, Final

from vmharness.errors import DeleteFailed, EngineUnavailable
from vmharness.provider import MachineState
from vmharness_fake import Latencies
from wrong_backends.right import Right, meet

_LONG_S: Final = 1e6
_WAIT_S: Final = 0.5


class Fussy(Right):
    """Delete wants a machine to be there."""

    _one = threading.Lock()  # or two deletes at once might both see the machine, and neither complain

    def delete(self, name: str, *, timeout: float) -> None:
        with self._one:
            if not self.exists(name):
                raise DeleteFailed(f"no machine {name!r}", backend="fake", machine=name)
            super().delete(name, timeout=timeout)


class FussyAboutNames(Right):
    """Delete refuses a name that the engine can't have."""

    def delete(self, name: str, *, timeout: float) -> None:
        if not name.replace("-", "").isalnum():
            raise DeleteFailed(f"bad name {name!r}", backend="fake", machine=name)
        super().delete(name, timeout=timeout)


class Impatient(Right):
    """Delete returns before the machine is gone."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, latencies=Latencies(delete_s=0.5), **options)

    def delete(self, name: str, *, timeout: float) -> None:
        try:
            super().delete(name, timeout=0.0)
        except DeleteFailed:
            return


class Lying(Right):
    """The first delete of a machine does nothing."""

    _asked: Final = set[str]()

    def delete(self, name: str, *, timeout: float) -> None:
        if self.exists(name) and name not in self._asked:
            self._asked.add(name)
            return
        super().delete(name, timeout=timeout)


class ByPrefix(Right):
    """Delete takes what begins with the name."""

    def delete(self, name: str, *, timeout: float) -> None:
        for info in self.list():
            if name and info.name.startswith(name):
                super().delete(info.name, timeout=timeout)


class ByPattern(Right):
    """Delete takes what matches the name."""

    def delete(self, name: str, *, timeout: float) -> None:
        for info in self.list():
            if fnmatch.fnmatch(info.name, name):
                super().delete(info.name, timeout=timeout)


class ByOption(Right):
    """Delete reads `--all` as its own command would."""

    def delete(self, name: str, *, timeout: float) -> None:
        names = [info.name for info in self.list()] if name == "--all" else [name]
        for one in names:
            super().delete(one, timeout=timeout)


class Neighbourly(Right):
    """Delete takes the machine that was made after this one along."""

    def delete(self, name: str, *, timeout: float) -> None:
        names = [info.name for info in self.list()]
        if name in names[:-1]:
            super().delete(names[names.index(name) + 1], timeout=timeout)
        super().delete(name, timeout=timeout)


class RunningDeleted(Right):
    """A stopped machine isn't deleted."""

    def delete(self, name: str, *, timeout: float) -> None:
        if any(info.name == name and info.state is MachineState.STOPPED for info in self.list()):
            self.start(name, timeout=timeout)
            raise DeleteFailed(f"{name!r} wasn't running", backend="fake", machine=name)
        super().delete(name, timeout=timeout)


class PatientDelete(Right):
    """Delete ignores its deadline."""

    def delete(self, name: str, *, timeout: float) -> None:
        super().delete(name, timeout=_LONG_S)


class HastyDelete(Right):
    """At its deadline delete returns, as if the machine were gone."""

    def delete(self, name: str, *, timeout: float) -> None:
        try:
            super().delete(name, timeout=timeout)
        except DeleteFailed:
            return


class DeletedInTheDark(Right):
    """Delete is a success when the engine doesn't answer."""

    def delete(self, name: str, *, timeout: float) -> None:
        try:
            super().delete(name, timeout=timeout)
        except EngineUnavailable:
            return


class CrudeDelete(Right):
    """Delete raises an OSError when the engine doesn't answer."""

    def delete(self, name: str, *, timeout: float) -> None:
        try:
            super().delete(name, timeout=timeout)
        except EngineUnavailable as exc:
            raise OSError(str(exc)) from exc


class CrossedDeletes(Right):
    """Deletes at once take the machine of whoever asked last."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._name = ""
        self._barrier = threading.Barrier(8)

    def delete(self, name: str, *, timeout: float) -> None:
        self._name = name
        meet(self._barrier)
        super().delete(self._name, timeout=timeout)
