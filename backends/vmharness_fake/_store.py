"""Where an engine is kept, and the engine that is kept in this process's memory; it knows no verb."""

from __future__ import annotations

import os
import secrets
import threading
from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import ClassVar, Final
from weakref import WeakValueDictionary

from vmharness.errors import EngineUnavailable
from vmharness_fake._engine import Engine
from vmharness_fake._events import Event
from vmharness_fake._faults import Faults

__all__ = ["POINTS", "MemoryStore", "Store"]

# Where a call can be made to stop: before the engine is asked; once it will finish by itself; once it has
# finished, and the caller hasn't heard of it.
POINTS: Final = frozenset(
    {f"{verb}:{when}" for verb in ("create", "delete") for when in ("before", "accepted", "after")}
    | {
        f"{verb}:{when}"
        for verb in ("list", "exists", "inspect", "run", "describe")
        for when in ("before", "after")
    }
)


class Store(ABC):
    """An engine's home: its machines, faults, held points and log. Methods may be called from threads."""

    @property
    @abstractmethod
    def endpoint(self) -> str:
        """The text by which `connect` finds it again."""

    @abstractmethod
    def prepare(self) -> None:
        """Make the home if it isn't there; until then the engine is one without machines."""

    @abstractmethod
    def locked(self) -> AbstractContextManager[Engine]:
        """Give the engine to one caller alone, who may change it; the block must not raise after a change.

        Raises:
            EngineUnavailable: The home can't be entered or read.
        """

    @abstractmethod
    def set_faults(self, faults: Faults) -> None:
        """Say what shall go wrong from now on, instead of what was said before; counting starts anew."""

    @abstractmethod
    def hold(self, point: str) -> None:
        """Make each call that comes to the point, one of POINTS, stop there until it is released."""

    @abstractmethod
    def release(self, point: str) -> None:
        """Let the calls at the point go on, and those to come; one that isn't held is left as it is."""

    @abstractmethod
    def is_held(self, point: str) -> bool:
        """Say whether calls stop at the point."""

    @abstractmethod
    def events(self) -> Sequence[Event]:
        """Return the log since the engine was made."""


class MemoryStore(Store):
    """An engine in this process's memory, for all providers that are opened with its endpoint.

    A forked child has no part in it: it holds but a copy, of which its parent would never hear.
    """

    # So that an endpoint opens the same engine again. It keeps none of them alive.
    _living: ClassVar[WeakValueDictionary[str, MemoryStore]] = WeakValueDictionary()

    def __init__(self, endpoint: str = "") -> None:
        self._pid: Final = os.getpid()
        self._endpoint: Final = endpoint or f"memory:{self._pid}:{secrets.token_hex(6)}"
        self._lock: Final = threading.Lock()
        self._engine: Final = Engine()
        self._held: Final = set[str]()
        self._living[self._endpoint] = self

    @classmethod
    def find(cls, endpoint: str) -> MemoryStore | None:
        """Return the engine of that endpoint, or None if it may be another process's.

        An engine ends with its process, and with its last provider there: then it is surely empty, which
        is what a ledger needs to hear that still names a machine of it.
        """
        found = cls._living.get(endpoint)
        kind, _, rest = endpoint.partition(":")
        pid = rest.partition(":")[0]
        if (
            found is None
            and kind == "memory"
            and pid.isdigit()
            and (int(pid) == os.getpid() or not _running(int(pid)))
        ):
            found = cls(endpoint)
        return found

    @property
    def endpoint(self) -> str:
        """`memory:PID:RANDOM`."""
        return self._endpoint

    def prepare(self) -> None:
        """Do nothing: the home is there."""

    @contextmanager
    def locked(self) -> Generator[Engine]:
        """Give the engine to one caller alone."""
        if os.getpid() != self._pid:
            raise EngineUnavailable(
                f"cannot reach the fake engine {self._endpoint!r} from a forked child: it is in its parent's "
                "memory; set VMHARNESS_FAKE_DIR for machines that several processes share",
                backend="fake",
            )
        with self._lock:
            yield self._engine

    def set_faults(self, faults: Faults) -> None:
        """Say what shall go wrong from now on; counting starts anew."""
        with self.locked() as engine:
            engine.faults = faults
            engine.counts.clear()

    def hold(self, point: str) -> None:
        """Make calls stop at the point."""
        self._held.add(checked(point))

    def release(self, point: str) -> None:
        """Let the calls at the point go on."""
        self._held.discard(checked(point))

    def is_held(self, point: str) -> bool:
        """Say whether calls stop at the point."""
        return point in self._held

    def events(self) -> Sequence[Event]:
        """Return the log since the engine was made."""
        with self.locked() as engine:
            return tuple(engine.log)


def _running(pid: int) -> bool:
    """Whether there is a process of that number, ours or not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def checked(point: str) -> str:
    """Return the point; raise ValueError if there is none such, at which no call would ever stop."""
    if point not in POINTS:
        raise ValueError(f"cannot hold {point!r}: the points are {', '.join(sorted(POINTS))}")
    return point
