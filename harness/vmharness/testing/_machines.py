"""The conformance kit's machines: made under names of its own, and gone after each check.

It knows the interface alone, and neither ledger nor session: it checks what those stand on.
"""

# ruff: noqa: S101 - asserts are what the kit is made of

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from vmharness.errors import Busy, CreateFailed, NameTaken
from vmharness.provider import MachineInfo, Provider, Settles, Spec

__all__ = ["ContractMachines"]

_PAUSE_S: Final = 0.2
_SETTLE_S: Final = 120.0  # for backends that don't say


class ContractMachines:
    """Makes machines for a check, and remembers them from before the engine is asked.

    Args:
        provider: The provider that is checked.
        image: Image of the machines; "" = the backend's default.
        create_timeout_s: Deadline of each create, in seconds.
        delete_timeout_s: Deadline of each delete, in seconds.
        clock: Returns seconds that never go back.
        sleep: Waits for some seconds.
    """

    def __init__(
        self,
        provider: Provider,
        *,
        image: str = "",
        create_timeout_s: float = 300.0,
        delete_timeout_s: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._provider = provider
        self._image = image
        self._create_timeout_s = create_timeout_s
        self._delete_timeout_s = delete_timeout_s
        self._clock = clock
        self._sleep = sleep
        self._names: list[str] = []
        self._maybes: set[str] = set()

    def new_name(self) -> str:
        """Return a name that no machine has; one that gets it is deleted after the check."""
        name = f"conf-{secrets.token_hex(6)}"
        self._names.append(name)
        return name

    def create(
        self, name: str | None = None, *, image: str | None = None, labels: Mapping[str, str] | None = None
    ) -> MachineInfo:
        """Create a machine.

        Args:
            name: Its name; None = a new one.
            image: Its image; None = the kit's.
            labels: Its labels; None = none.
        """
        name = self.new_name() if name is None else name
        if name not in self._names:
            self._names.append(name)
        spec = Spec(name=name, image=self._image if image is None else image, labels=labels or {})
        self._maybes.add(name)
        try:
            info = self._provider.create(spec, timeout=self._create_timeout_s)
        except (CreateFailed, NameTaken):
            self._maybes.discard(name)
            raise
        self._maybes.discard(name)
        return info

    def delete(self, name: str) -> None:
        """Delete a machine; wait while the engine refuses."""
        deadline = self._clock() + self._delete_timeout_s
        while True:
            try:
                return self._provider.delete(name, timeout=self._delete_timeout_s)
            except Busy:
                if self._clock() >= deadline:
                    raise
                self._sleep(_PAUSE_S)

    def listed(self, name: str) -> MachineInfo | None:
        """Return the one machine of that name in a new listing, or None."""
        found = [info for info in self._provider.list() if info.name == name]
        assert len(found) <= 1, f"several machines are listed as {name!r}: {found}"
        return found[0] if found else None

    def listed_but_address(self, name: str) -> MachineInfo | None:
        """Return the same, but without the address, which a machine may get when it has run for a while."""
        info = self.listed(name)
        return info and replace(info, address="")

    def delete_all(self) -> None:
        """Delete what was made, the last one first, and what may appear yet; raise when all were tried."""
        errors = self._delete_each(self._names[::-1])
        deadline = self._clock() + self._settle_s()
        while self._maybes and self._clock() < deadline:
            self._sleep(_PAUSE_S)
            errors += self._delete_each(sorted(self._maybes))
        if errors:
            raise ExceptionGroup("the conformance kit could not delete all of its machines", errors)

    def _delete_each(self, names: Sequence[str]) -> list[Exception]:
        errors: list[Exception] = []
        for name in names:
            try:
                self.delete(name)
            except Exception as exc:
                exc.add_note(f"machine: {name!r}")
                errors.append(exc)
        return errors

    def _settle_s(self) -> float:
        return self._provider.settle_s if isinstance(self._provider, Settles) else _SETTLE_S
