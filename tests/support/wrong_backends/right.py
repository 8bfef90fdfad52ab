"""A right backend, in memory, by a clock of its own; each wrong one differs from it in one place."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol, Self

from vmharness.errors import EngineUnavailable
from vmharness.testing import FakeClock
from vmharness_fake import FakeProvider, Faults, MemoryStore, UnlabelledFakeProvider

__all__ = ["Right", "RightUnlabelled", "change", "in_a_kits_thread", "is_watched", "meet"]

_NO_FAULTS = Faults()


class _Opens(Protocol):
    """What makes providers of an engine in memory."""

    def __init__(
        self, store: MemoryStore, *, clock: Callable[[], float], sleep: Callable[[float], None]
    ) -> None: ...

    @classmethod
    def connect(cls, endpoint: str | None, clock: FakeClock) -> Self:
        store = MemoryStore() if endpoint is None else MemoryStore.find(endpoint)
        if store is None:
            raise EngineUnavailable(f"cannot open {endpoint!r}: it isn't there", backend="fake")
        return cls(store, clock=clock.time, sleep=clock.sleep)


class Right(FakeProvider, _Opens):
    """Is right."""


class RightUnlabelled(UnlabelledFakeProvider, _Opens):
    """Is right, on an engine without labels."""


def change(provider: UnlabelledFakeProvider, name: str, **changes: Any) -> None:
    """Change what the engine remembers of a machine, if it is there."""
    with provider.store.locked() as engine:
        if name in engine.machines:
            engine.machines[name] = replace(engine.machines[name], **changes)


def in_a_kits_thread() -> bool:
    """Whether this is one of several threads that the kit has started at once."""
    return threading.current_thread().name.startswith("vmharness-")


def is_watched() -> bool:
    """Whether a thread of the kit's lists all the time."""
    return any(thread.name == "vmharness-conformance-watch" for thread in threading.enumerate())


def meet(barrier: threading.Barrier) -> None:
    """Wait for the kit's other threads, so that what a race could bring comes each time."""
    if in_a_kits_thread():
        with suppress(threading.BrokenBarrierError):
            barrier.wait(3.0)
