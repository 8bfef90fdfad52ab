"""Backends whose list, exists or endpoint is wrong."""

from __future__ import annotations

import fnmatch
import secrets
import threading
from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any, Final, Self, cast

from vmharness.errors import EngineUnavailable, ProviderError
from vmharness.provider import LABEL_TOKEN, MachineInfo, MachineState, Spec
from vmharness.testing import FakeClock
from vmharness_fake import MemoryStore
from wrong_backends.right import Right, in_a_kits_thread

_LONG_S: Final = 1e6
_WAIT_S: Final = 0.5

# ---- list ------------------------------------------------------------------------------------------------


class RunningOnly(Right):
    """Stopped machines are left out."""

    def list(self) -> Sequence[MachineInfo]:
        return [info for info in super().list() if info.state is not MachineState.STOPPED]


class OnlyMachinesOfOurs(Right):
    """Strangers' machines are left out."""

    def list(self) -> Sequence[MachineInfo]:
        return [info for info in super().list() if LABEL_TOKEN in (info.labels or {})]


class FirstPage(Right):
    """A listing ends after five machines."""

    def list(self) -> Sequence[MachineInfo]:
        return super().list()[:5]


class Pages(Right):
    """A listing is the first page of the engine's answer: ten machines."""

    def list(self) -> Sequence[MachineInfo]:
        return super().list()[:10]


class Twice(Right):
    """A machine that is stopped is listed twice."""

    def list(self) -> Sequence[MachineInfo]:
        listing = list(super().list())
        return listing + [info for info in listing if info.state is MachineState.STOPPED]


class Raw(Right):
    """States are the engine's own words."""

    def list(self) -> Sequence[MachineInfo]:
        return [replace(info, state=cast(MachineState, str(info.state).title())) for info in super().list()]


class Lazy(Right):
    """A listing is a generator."""

    def list(self) -> Any:
        def generate() -> Generator[MachineInfo]:
            yield from listing

        listing = super().list()
        return generate()


class Moving(Right):
    """Each listing has other times."""

    _drift = 0.0

    def list(self) -> Sequence[MachineInfo]:
        self._drift += 1.0
        return [replace(info, created_at=(info.created_at or 0) + self._drift) for info in super().list()]


class Forgiving(Right):
    """A listing is empty when the engine doesn't answer."""

    def list(self) -> Sequence[MachineInfo]:
        try:
            return super().list()
        except EngineUnavailable:
            return []


class Crude(Right):
    """Whatever goes wrong with a listing is a RuntimeError."""

    def list(self) -> Sequence[MachineInfo]:
        try:
            return super().list()
        except EngineUnavailable as exc:
            raise RuntimeError(str(exc)) from exc


class Remembering(Right):
    """A listing is what this provider has made and deleted."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._mine = {info.name for info in super().list()}

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        self._mine.add(spec.name)
        return super().create(spec, timeout=timeout)

    def clone(self, source: str, spec: Spec, *, timeout: float) -> MachineInfo:
        self._mine.add(spec.name)
        return super().clone(source, spec, timeout=timeout)

    def rename(self, name: str, new: str, *, timeout: float) -> None:
        self._mine.add(new)
        super().rename(name, new, timeout=timeout)

    def list(self) -> Sequence[MachineInfo]:
        return [info for info in super().list() if info.name in self._mine]


class PartialMeanwhile(Right):
    """While a machine is deleted, a listing lacks another one."""

    _deleting: Final = threading.Event()
    _looked: Final = threading.Event()

    def delete(self, name: str, *, timeout: float) -> None:
        if in_a_kits_thread():
            self._looked.clear()
            self._deleting.set()
            self._looked.wait(_WAIT_S)
            self._deleting.clear()
        super().delete(name, timeout=timeout)

    def list(self) -> Sequence[MachineInfo]:
        if self._deleting.is_set():
            self._looked.set()
            return super().list()[1:]
        return super().list()


# ---- exists ----------------------------------------------------------------------------------------------


class FalseOnError(Right):
    """Exists is False when the engine doesn't answer."""

    def exists(self, name: str) -> bool:
        try:
            return super().exists(name)
        except EngineUnavailable:
            return False


class Optimist(Right):
    """Exists is True for names that a machine could have."""

    def exists(self, name: str) -> bool:
        return super().exists(name) or (name.replace("-", "").isalnum() and name.startswith("conf-"))


class Fuzzy(Right):
    """The beginning of a name is taken for the name."""

    def exists(self, name: str) -> bool:
        return bool(name) and any(info.name.startswith(name) for info in self.list())


class Globbing(Right):
    """A name is a pattern to exists."""

    def exists(self, name: str) -> bool:
        return any(fnmatch.fnmatch(info.name, name) for info in self.list())


class Picky(Right):
    """Exists raises for a name that the engine can't have."""

    def exists(self, name: str) -> bool:
        if not name.replace("-", "").isalnum():
            raise ProviderError(f"bad name {name!r}", backend="fake", machine=name)
        return super().exists(name)


class Asleep(Right):
    """A stopped machine doesn't exist."""

    def exists(self, name: str) -> bool:
        return any(info.name == name and info.state is MachineState.RUNNING for info in self.list())


class Nostalgic(Right):
    """A machine that was seen exists for ever."""

    _seen: Final = set[str]()

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        info = super().create(spec, timeout=timeout)
        self._seen.add(info.name)
        return info

    def exists(self, name: str) -> bool:
        return super().exists(name) or name in self._seen


class Blinking(Right):
    """Each second time a machine doesn't exist."""

    _count = 0

    def exists(self, name: str) -> bool:
        found = super().exists(name)
        self._count += found
        return found and self._count % 2 == 1


class Numeric(Right):
    """Exists gives a number."""

    def exists(self, name: str) -> Any:
        return int(super().exists(name))


# ---- endpoint --------------------------------------------------------------------------------------------


class Fickle(Right):
    """The endpoint is another text each time."""

    _count = 0

    @property
    def endpoint(self) -> str:
        self._count += 1
        return f"{super().endpoint}#{self._count}"

    @classmethod
    def connect(cls, endpoint: str | None, clock: FakeClock) -> Self:
        return super().connect(endpoint and endpoint.partition("#")[0], clock)


class Renamed(Right):
    """A provider that is opened by an endpoint has another one."""

    _tag = ""

    @property
    def endpoint(self) -> str:
        return super().endpoint + self._tag

    @classmethod
    def connect(cls, endpoint: str | None, clock: FakeClock) -> Self:
        opened = super().connect(endpoint, clock)
        opened._tag = f"#{secrets.token_hex(2)}" if endpoint else ""
        return opened


class Closed(Right):
    """An endpoint can't be opened again."""

    @classmethod
    def connect(cls, endpoint: str | None, clock: FakeClock) -> Self:
        if endpoint is not None:
            raise EngineUnavailable(f"cannot open {endpoint!r}", backend="fake")
        return super().connect(endpoint, clock)


class Elsewhere(Right):
    """An endpoint opens another engine."""

    _said = ""

    @property
    def endpoint(self) -> str:
        return self._said or super().endpoint

    @classmethod
    def connect(cls, endpoint: str | None, clock: FakeClock) -> Self:
        opened = cls(MemoryStore(), clock=clock.time, sleep=clock.sleep)
        opened._said = endpoint or ""
        return opened


class Blank(Right):
    """The endpoint is empty."""

    _kept: Final[dict[str, MemoryStore]] = {}

    @property
    def endpoint(self) -> str:
        self._kept["last"] = cast(MemoryStore, self.store)
        return ""

    @classmethod
    def connect(cls, endpoint: str | None, clock: FakeClock) -> Self:
        store = MemoryStore() if endpoint is None else cls._kept["last"]
        return cls(store, clock=clock.time, sleep=clock.sleep)
