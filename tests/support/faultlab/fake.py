"""The fake engine under test: its store has all that is needed. What it has is read from its own file."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final

from faultlab.cells import Backend
from faultlab.engine import EngineUnderTest
from faultlab.stage import Stage
from vmharness.provider import Spec
from vmharness_fake import POINTS, FakeProvider, Fault, Faults, FolderStore, wait_for

__all__ = ["FakeEngine", "FakeStage"]

_TIMEOUT_S: Final = 5.0


class FakeEngine(EngineUnderTest):
    """An engine in a folder."""

    backend: ClassVar = Backend.FAKE
    own_s: ClassVar = 0.0

    def __init__(self, folder: Path) -> None:
        super().__init__("vmh")
        self.store: Final = FolderStore(folder)
        self.store.prepare()
        self._stranger = FakeProvider(self.store)
        self._seen = 0

    @property
    def environ(self) -> Mapping[str, str]:
        """The folder."""
        return {"VMHARNESS_FAKE_DIR": str(self.store.path)}

    def names(self) -> set[str]:
        """Return the names of all machines."""
        try:
            text = (self.store.path / "machines.json").read_text()
        except FileNotFoundError:
            return set()
        now = time.time()
        return {
            machine["spec"]["name"]
            for machine in json.loads(text)["machines"]
            if machine["appears_at"] <= now and not (machine["gone_at"] and machine["gone_at"] <= now)
        }

    def make(self, name: str, labels: Mapping[str, str]) -> None:
        """Make a machine."""
        self._stranger.create(Spec(name=name, labels=labels), timeout=_TIMEOUT_S)

    def remove(self, names: Iterable[str]) -> None:
        """Remove machines."""
        for name in names:
            self._stranger.delete(name, timeout=_TIMEOUT_S)

    def hold(self, point: str) -> None:
        """Make calls wait at the point."""
        self.store.hold(point)

    def release(self, point: str) -> None:
        """Let the calls at the point go on."""
        self.store.release(point)

    def is_held(self, point: str) -> bool:
        """Whether calls wait at the point."""
        return self.store.is_held(point)

    def stood(self, point: str) -> Sequence[int]:
        """Return who came to wait at the point."""
        events = self.store.events()[self._seen :]
        return [event.pid for event in events if (event.phase, event.detail) == ("waits", point)]

    def callers(self, verb: str) -> set[int]:
        """Return who called."""
        return {event.pid for event in self.store.events()[self._seen :] if event.verb == verb}

    def forget(self) -> None:
        """Forget who called, and let nothing go wrong."""
        for point in POINTS:
            self.store.release(point)
        self.store.set_faults(Faults())
        self._seen = len(self.store.events())

    def make_late(self) -> Sequence[str]:
        """Let machines appear half a second after their create's deadline."""
        self.store.set_faults(Faults((Fault("create", "late", seconds=0.5),)))
        return ["--vm-create-timeout=0.2"]

    def die(self) -> None:
        """Turn each call away; those that it has begun are beyond that."""
        self.store.set_faults(Faults((Fault("*", "unavailable"),)))

    def rise(self) -> None:
        """Turn no call away."""
        self.store.set_faults(Faults())

    def restart(self, point: str) -> None:
        """Turn calls away until one at the point has been."""
        self.die()
        self.release(point)
        wait_for(self.store, point.partition(":")[0], "end", detail="EngineUnavailable")
        self.rise()

    def is_busy(self) -> bool:
        """Say no: its calls end with their caller."""
        return False


class FakeStage(Stage):
    """A stage for what only the fake engine can be told to do, and tells.

    Args:
        folder: Where all files are.
        state: The state folder, if it is elsewhere.
    """

    def __init__(self, folder: Path, *, state: Path | None = None) -> None:
        engine = FakeEngine(folder / "engine")
        super().__init__(engine, folder, state=state)
        self.store: Final = engine.store

    def names(self) -> set[str]:
        """Return the names of the machines that the engine has."""
        return self.engine.names()

    def pids(self, verb: str) -> set[int]:
        """Return the processes that called a verb."""
        return self.engine.callers(verb)
