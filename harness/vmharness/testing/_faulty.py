"""A provider around any other, some of whose calls go wrong; it knows the interface alone."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Sequence
from typing import Final, Literal

from vmharness.errors import CreateFailed, CreateTimeout, DeleteFailed, EngineUnavailable, ProviderError
from vmharness.provider import MachineInfo, Provider, Spec

__all__ = ["FaultyProvider"]

_log = logging.getLogger("vmharness.testing")

_HANG_S: Final = 10.0  # how long calls hang that are given no deadline


class FaultyProvider(Provider):
    """A provider on which some calls of one verb go wrong; all else is the inner provider's.

    Wrap it again to make another verb go wrong as well. It has the capabilities that the inner one has.

    Args:
        inner: The provider that does the work.
        verb: Which calls go wrong.
        effect: `fails`: they raise at once, and the engine isn't asked; `hangs`: they raise at their
            deadline, and the engine isn't asked; `late`, for create only: they raise CreateTimeout at
            their deadline, and the engine is asked afterwards, so that the machine appears later.
        calls: Which of the verb's calls, counted from 1.
        late_s: How long after the deadline a late create asks the engine, in seconds.
        sleep: Waits for some seconds.
    """

    def __init__(
        self,
        inner: Provider,
        verb: Literal["create", "list", "delete", "exists"],
        effect: Literal["fails", "hangs", "late"],
        *,
        calls: Collection[int] = (1,),
        late_s: float = 0.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if effect == "late" and verb != "create":
            raise ValueError(f"cannot make {verb!r} late: only a create can bring something later")
        self._inner: Final = inner
        self._verb = verb
        self._effect = effect
        self._calls = calls
        self._late_s = late_s
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
        if self._strikes("create"):
            if self._effect == "fails":
                raise CreateFailed(f"cannot create {spec.name!r}: it was told to fail", machine=spec.name)
            self._sleep(timeout)
            if self._effect == "late":
                thread = threading.Thread(
                    target=self._create_late, args=(spec, timeout), name=f"late {spec.name}", daemon=True
                )
                self._arriving.append(thread)
                thread.start()
            raise CreateTimeout(f"create {spec.name!r}: no answer in {timeout:g} s", machine=spec.name)
        return self._inner.create(spec, timeout=timeout)

    def list(self) -> Sequence[MachineInfo]:
        """List all machines, or go wrong."""
        self._meet("list", _HANG_S, EngineUnavailable("cannot list: it was told to go wrong"))
        return self._inner.list()

    def delete(self, name: str, *, timeout: float) -> None:
        """Delete a machine, or go wrong."""
        error = DeleteFailed(f"cannot delete {name!r}: it was told to go wrong", machine=name)
        self._meet("delete", timeout, error)
        self._inner.delete(name, timeout=timeout)

    def exists(self, name: str) -> bool:
        """Say whether a machine is there, or go wrong."""
        error = EngineUnavailable(f"cannot look for {name!r}: it was told to go wrong", machine=name)
        self._meet("exists", _HANG_S, error)
        return self._inner.exists(name)

    def wait_for_late(self, timeout: float) -> bool:
        """Wait until all late creates have ended, and say whether they have.

        Args:
            timeout: Seconds to wait for each.
        """
        for thread in self._arriving:
            thread.join(timeout)
        return not any(thread.is_alive() for thread in self._arriving)

    def _meet(self, verb: str, hang_s: float, error: ProviderError) -> None:
        if self._strikes(verb):
            if self._effect == "hangs":
                self._sleep(hang_s)
            raise error

    def _strikes(self, verb: str) -> bool:
        """Count a call, and say whether it goes wrong."""
        if verb != self._verb:
            return False
        with self._lock:
            self._count += 1
            return self._count in self._calls

    def _create_late(self, spec: Spec, timeout: float) -> None:
        self._sleep(self._late_s)
        try:
            self._inner.create(spec, timeout=timeout)
        except ProviderError:
            _log.warning("late create of %s failed", spec.name, exc_info=True)
