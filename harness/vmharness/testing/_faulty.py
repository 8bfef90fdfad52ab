"""A provider around any other, some of whose calls go wrong; it knows the interface alone."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Collection, Sequence
from typing import Final, Literal

from vmharness.errors import CreateFailed, CreateTimeout, DeleteFailed, EngineUnavailable, ProviderError
from vmharness.provider import MachineInfo, MachineState, Provider, Spec

__all__ = ["FaultyProvider"]

_log = logging.getLogger("vmharness.testing")

Verb = Literal["create", "list", "delete", "exists"]
Effect = Literal["fails", "hangs", "slow", "late", "lies"]

_HANG_S: Final = 10.0  # how long calls hang that are given no deadline


class FaultyProvider(Provider):
    """A provider on which some calls of one verb go wrong; all else is the inner provider's.

    Wrap it again to make another verb go wrong as well. It has the capabilities that the inner one has.

    ===========  ===========================================================================================
    `fails`      they raise at once, and the engine isn't asked: CreateFailed, DeleteFailed, EngineUnavailable
    `hangs`      they raise at their deadline, and the engine isn't asked: CreateTimeout, DeleteFailed,
                 EngineUnavailable
    `slow`       they take `slow_s` longer; where that is beyond their deadline, they hang until it passes
    `late`       create only: CreateTimeout at the deadline, and the engine is asked `late_s` after it, so
                 that the machine appears later
    `lies`       they say what isn't so, and change nothing: create, that the machine runs; delete, that it is
                 gone; list, that there is none; exists, the opposite
    ===========  ===========================================================================================

    Args:
        inner: The provider that does the work.
        verb: Which calls go wrong.
        effect: How they go wrong.
        calls: Which of the verb's calls, counted from 1; not looked at where a chance is given.
        chance: How probable it is that a call goes wrong, from 0 to 1; None = `calls` says which do.
        seed: Which calls go wrong by chance; the same ones each time.
        late_s: How long after the deadline a late create asks the engine, in seconds.
        slow_s: How much longer a slow call takes, in seconds.
        sleep: Waits for some seconds, as `FakeClock.sleep` does without waiting.
    """

    def __init__(
        self,
        inner: Provider,
        verb: Verb,
        effect: Effect,
        *,
        calls: Collection[int] = (1,),
        chance: float | None = None,
        seed: int = 0,
        late_s: float = 0.0,
        slow_s: float = 1.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if effect == "late" and verb != "create":
            raise ValueError(f"cannot make {verb!r} late: only a create can bring something later")
        if chance is not None and not 0 <= chance <= 1:
            raise ValueError(f"cannot let {verb!r} go wrong with a chance of {chance}: it is from 0 to 1")
        self._inner: Final = inner
        self._verb: Verb = verb
        self._effect: Effect = effect
        self._calls = calls
        self._chance = chance
        self._random = random.Random(seed)  # noqa: S311 - the same each time is what is wanted
        self._late_s = late_s
        self._slow_s = slow_s
        self._sleep = sleep
        self._lock = threading.Lock()
        self._count = 0
        self._arriving: list[threading.Thread] = []
        # A capability is what isinstance finds, so it must be an attribute; __getattr__ isn't looked at.
        for name in dir(inner):
            if not name.startswith("_") and not hasattr(type(self), name):
                setattr(self, name, getattr(inner, name))

    @property
    def endpoint(self) -> str:
        """The inner provider's."""
        return self._inner.endpoint

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        """Create a machine, or go wrong."""
        name, effect = spec.name, self._effect_of("create")
        if effect == "fails":
            raise CreateFailed(f"cannot create {name!r}: it was told to fail", machine=name)
        if effect == "lies":
            return MachineInfo(name=name, state=MachineState.RUNNING)
        late = CreateTimeout(f"create {name!r}: no answer in {timeout:g} s", machine=name)
        if effect == "late":
            self._sleep(timeout)
            self._start_late(spec, timeout)
            raise late
        return self._inner.create(spec, timeout=self._pass_time(effect, timeout, late))

    def list(self) -> Sequence[MachineInfo]:
        """List all machines, or go wrong."""
        effect = self._effect_of("list")
        self._pass_time(effect, _HANG_S, EngineUnavailable("cannot list: it was told to go wrong"))
        return () if effect == "lies" else self._inner.list()

    def delete(self, name: str, *, timeout: float) -> None:
        """Delete a machine, or go wrong."""
        effect = self._effect_of("delete")
        error = DeleteFailed(f"cannot delete {name!r}: it was told to go wrong", machine=name)
        left_s = self._pass_time(effect, timeout, error)
        if effect != "lies":
            self._inner.delete(name, timeout=left_s)

    def exists(self, name: str) -> bool:
        """Say whether a machine is there, or go wrong."""
        effect = self._effect_of("exists")
        error = EngineUnavailable(f"cannot look for {name!r}: it was told to go wrong", machine=name)
        self._pass_time(effect, _HANG_S, error)
        return self._inner.exists(name) != (effect == "lies")

    def wait_for_late(self, timeout: float) -> bool:
        """Wait until all late creates have ended, and say whether they have.

        Args:
            timeout: Seconds to wait for each.
        """
        for thread in self._arriving:
            thread.join(timeout)
        return not any(thread.is_alive() for thread in self._arriving)

    def _effect_of(self, verb: Verb) -> Effect | None:
        """Count a call, and say how it goes wrong; None: it doesn't."""
        if verb != self._verb:
            return None
        with self._lock:
            self._count += 1
            if self._chance is None:
                struck = self._count in self._calls
            else:
                struck = self._random.random() < self._chance
        return self._effect if struck else None

    def _pass_time(self, effect: Effect | None, limit_s: float, error: ProviderError) -> float:
        """Let a call fail, hang or take longer; return the seconds that it has left."""
        if effect == "fails":
            raise error
        wait_s = {"hangs": limit_s, "slow": min(self._slow_s, limit_s)}.get(effect or "", 0.0)
        if wait_s:
            self._sleep(wait_s)
        if effect == "hangs" or (wait_s and wait_s >= limit_s):
            raise error
        return limit_s - wait_s

    def _start_late(self, spec: Spec, timeout: float) -> None:
        thread = threading.Thread(
            target=self._create_late, args=(spec, timeout), name=f"late {spec.name}", daemon=True
        )
        self._arriving.append(thread)
        thread.start()

    def _create_late(self, spec: Spec, timeout: float) -> None:
        self._sleep(self._late_s)
        try:
            self._inner.create(spec, timeout=timeout)
        except ProviderError:
            _log.warning("late create of %s failed", spec.name, exc_info=True)
