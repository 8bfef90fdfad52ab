"""The conformance kit's machines: made under names of its own, and gone after each check.

It knows the interface alone, and neither ledger nor session: it checks what those stand on. It trusts the
provider in nothing: what it made is gone when a listing lacks it.
"""

# ruff: noqa: S101 - asserts are what the kit is made of

from __future__ import annotations

import hashlib
import os
import reprlib
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, cast

from vmharness._clock import Clock
from vmharness.errors import Busy, CreateFailed, NameTaken, NotOwned, PluginError, ProviderError
from vmharness.provider import (
    LABEL_TOKEN,
    MachineInfo,
    Provider,
    Settles,
    ShowsDelete,
    Spec,
    TakesLabels,
)

__all__ = ["PREFIX", "ContractMachines"]

PREFIX: Final = "conf-"
# Workers of one pytest-xdist run check side by side, and don't take each other's machines for a stranger's.
_RUN: Final = hashlib.sha256(
    os.environ.get("PYTEST_XDIST_TESTRUNUID", secrets.token_hex(16)).encode()
).hexdigest()[:6]
_OURS: Final = f"{PREFIX}{_RUN}-"
_PAUSE_S: Final = 0.2
_PAUSES_S: Final = (0.0, 0.2, 1.0, 5.0)  # before each attempt to delete what stays
_SETTLE_S: Final = 120.0  # for backends that don't say
_TELLING: Final = 6  # so many random characters tell one of the kit's names from all others
# A broken provider's own mistakes: the same call makes them again.
_MISTAKES: Final = (AttributeError, NotImplementedError, PluginError, TypeError)
_CLOCK: Final = Clock()


class ContractMachines:
    """Makes machines for a check, and remembers them from before the engine is asked.

    Args:
        provider: The provider that is checked.
        image: Image of the machines; "" = the backend's default.
        create_timeout_s: Deadline of each create, in seconds.
        delete_timeout_s: Deadline of each delete, in seconds.
        clock: The clock to wait by.
    """

    def __init__(
        self,
        provider: Provider,
        *,
        image: str = "",
        create_timeout_s: float = 300.0,
        delete_timeout_s: float = 60.0,
        clock: Clock = _CLOCK,
    ) -> None:
        self._provider = provider
        self._image = image
        self._create_timeout_s = create_timeout_s
        self._delete_timeout_s = delete_timeout_s
        self._clock = clock
        self._names: list[str] = []
        self._asked: set[str] = set()
        self._tokens: set[str] = set()
        self._maybes: set[str] = set()
        self._seen: set[str] = set()
        self._strangers: frozenset[str] = frozenset()
        self._ended = ""

    def begin(self) -> None:
        """Look at what is there before the first create, which the kit will never touch.

        Raises:
            NotOwned: Machines of the kit's prefix are there that this run didn't make; nothing was done.
            PluginError: The listing is none; nothing was done.
            EngineUnavailable: The engine doesn't answer.
        """
        names = [info.name for info in self._listing()]
        others = sorted(name for name in names if name.startswith(PREFIX) and not name.startswith(_OURS))
        if others:
            self._ended = (
                f"refusing to check the backend: its engine has machines named {PREFIX}…, as the kit's are, "
                f"that this run didn't make: {', '.join(others)}; delete them, or wait for the run that has "
                f"them{self._remedy(others[0])}"
            )
            raise NotOwned(self._ended)
        self._strangers = frozenset(names)

    @property
    def ended(self) -> str:
        """Why nothing else can be checked; "" = it can."""
        return self._ended

    @property
    def strangers(self) -> frozenset[str]:
        """Names of the machines that were there before the check."""
        return self._strangers

    def new_name(self, length: int = 0) -> str:
        """Return a name that no machine has; one that gets it is deleted after the check.

        Args:
            length: How long the name shall be, in characters; 0 = as it comes.
        """
        name = f"{_OURS}{secrets.token_hex(6)}"
        name += "x" * (length - len(name))
        self._names.append(name)
        return name

    def create(
        self,
        name: str | None = None,
        *,
        image: str | None = None,
        labels: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> MachineInfo:
        """Create a machine.

        Args:
            name: Its name; None = a new one.
            image: Its image; None = the kit's.
            labels: Its labels; None = a token, where there are labels.
            timeout: Seconds until the deadline; None = the kit's.
        """
        name = self.new_name() if name is None else name
        if name not in self._names:
            self._names.append(name)
        if labels is None:
            labels = self._token()
        spec = Spec(name=name, image=self._image if image is None else image, labels=labels)
        self._maybes.add(name)
        try:
            info = self._provider.create(spec, timeout=self._create_timeout_s if timeout is None else timeout)
        except (CreateFailed, NameTaken):
            self._maybes.discard(name)
            raise
        finally:
            if name in self._maybes:
                self._asked.add(name)
        self._maybes.discard(name)
        self.adopt(info)
        return info

    def adopt(self, info: MachineInfo) -> None:
        """Delete a machine after the check that the provider says it made, whatever it calls it."""
        if not _is_machine(info):
            raise self._end(f"a create gave {_kind(info)}; it must give a MachineInfo")
        if info.name not in self._names and info.name not in self._strangers:
            self._names.append(info.name)

    def delete(self, name: str) -> None:
        """Delete a machine; wait while the engine refuses."""
        deadline = self._clock.monotonic() + self._delete_timeout_s
        while True:
            try:
                self._provider.delete(name, timeout=self._delete_timeout_s)
            except Busy:
                if self._clock.monotonic() >= deadline:
                    raise
                self._clock.sleep(_PAUSE_S)
            else:
                break
        if name in self._seen:  # a create brings but one machine
            self._maybes.discard(name)

    def listed(self, name: str) -> MachineInfo | None:
        """Return the one machine of that name in a new listing, or None."""
        found = [info for info in self._listing() if info.name == name]
        assert len(found) <= 1, f"several machines are listed as {name!r}: {found}"
        if found:
            self._seen.add(name)
        return found[0] if found else None

    def listed_but_address(self, name: str) -> MachineInfo | None:
        """Return the same, but without the address, which a machine may get when it has run for a while."""
        info = self.listed(name)
        return info and replace(info, address="")

    def delete_all(self) -> None:
        """Delete what was made, the last one first, and what may appear yet; raise when all were tried.

        An interrupt doesn't end it, but is raised at its end; a second one ends it.

        Raises:
            ExceptionGroup: Machines are or may be there; an error of each says which, and why.
            PluginError: All are gone, and nothing else can be checked.
            AssertionError: All are gone, and some had names that nobody asked for.
        """
        interrupted: KeyboardInterrupt | None = None
        errors: dict[str, Exception] = {}
        odd = self._odd()
        for name in [*odd, *self._left()]:
            try:
                self._remove(name, errors)
            except KeyboardInterrupt as exc:
                interrupted = exc
                self._remove(name, errors)
        if interrupted is None:
            self._await_maybes(errors)
        elif self._maybes:
            interrupted.add_note(f"these may appear yet: {', '.join(sorted(self._maybes))}")
        if errors:
            raise ExceptionGroup(
                "the conformance kit could not delete all of its machines", list(errors.values())
            )
        if interrupted is not None:
            raise interrupted
        if self._ended:
            raise PluginError(self._ended)  # no check may have noticed
        if odd:
            raise AssertionError(
                f"machines were made under names that nobody asked for, and are deleted: {', '.join(odd)}"
            )

    def _listing(self) -> Sequence[MachineInfo]:
        given = self._provider.list()
        if not isinstance(cast(object, given), Iterable):
            raise self._end(f"list() gave {_kind(given)}; it must give a sequence of MachineInfo")
        listing = list(given)
        for info in listing:
            if not _is_machine(info):
                raise self._end(f"list() gave {_kind(info)}; it must give MachineInfo, one for each machine")
        return listing

    def _end(self, why: str) -> PluginError:
        """Note that nothing else can be checked, and return the error that says so."""
        self._ended = f"{why}; nothing else is checked"
        return PluginError(self._ended)

    def _token(self) -> Mapping[str, str]:
        """Return labels by which a machine is found again, whatever it is called."""
        if not isinstance(self._provider, TakesLabels):
            return {}
        token = secrets.token_hex(16)
        self._tokens.add(token)
        return {LABEL_TOKEN: token}

    def _odd(self) -> Sequence[str]:
        """Return what is listed under a name that nobody asked for, and yet must be ours."""
        try:
            listing = self._listing()
        except Exception:
            return []
        return sorted(
            info.name
            for info in listing
            if info.name not in self._names
            and info.name not in self._strangers
            and (
                (info.labels or {}).get(LABEL_TOKEN) in self._tokens
                or any(_is_made_of(info.name, name) for name in self._names)
            )
        )

    def _left(self) -> Sequence[str]:
        """Return what may be there, the last one first: what is listed, and what was made in any case."""
        ours = [name for name in self._names[::-1] if name not in self._strangers]
        try:
            listed = {info.name for info in self._listing()}
        except Exception:
            return ours
        return [name for name in ours if name in listed or name in self._asked]

    def _remove(self, name: str, errors: dict[str, Exception]) -> None:
        """Delete a machine, and look whether it is gone; try again where it isn't."""
        errors.pop(name, None)
        if name in self._maybes and self._is_listed(name):
            self._seen.add(name)
        last: Exception = ProviderError(f"deleting {name!r} was interrupted")
        for pause_s in _PAUSES_S:
            if pause_s:
                self._clock.sleep(pause_s)
            try:
                self.delete(name)
                last = ProviderError(f"the delete of {name!r} returned, and it is still listed")
            except Exception as exc:
                last = exc
            try:
                if self.listed(name) is None:
                    return
            except Exception as exc:
                last = exc
            if isinstance(last, _MISTAKES):
                self._maybes.discard(name)
                break
        last.add_note(f"machine: {name!r}{self._remedy(name)}")
        errors[name] = last

    def _await_maybes(self, errors: dict[str, Exception]) -> None:
        """Delete what appears late, until nothing can any more."""
        deadline = self._clock.monotonic() + self._settle_s()
        self._maybes -= self._strangers
        while self._maybes and self._clock.monotonic() < deadline:
            self._clock.sleep(_PAUSE_S)
            for name in sorted(self._maybes):
                self._remove(name, errors)

    def _is_listed(self, name: str) -> bool:
        try:
            return any(info.name == name for info in self._listing())
        except Exception:
            return False

    def _remedy(self, name: str) -> str:
        """Return what a person can do about a machine, if the backend knows."""
        if not isinstance(self._provider, ShowsDelete):
            return ""
        try:
            return f"; to delete it: {' '.join(self._provider.delete_argv(name))}"
        except Exception:
            return ""

    def _settle_s(self) -> float:
        return self._provider.settle_s if isinstance(self._provider, Settles) else _SETTLE_S


def _is_machine(value: object) -> bool:
    return isinstance(value, MachineInfo)


def _kind(value: object) -> str:
    """Say what kind of value it is, and how it looks."""
    kind = type(value).__name__
    return "None" if value is None else f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}, {reprlib.repr(value)}"


def _is_made_of(name: str, ours: str) -> bool:
    """Whether an engine's name for a machine holds one of the kit's, or what a cut left of it."""
    name, ours = name.casefold(), ours.casefold()
    return ours.startswith(_OURS) and (
        ours in name or (ours.startswith(name) and len(name) >= len(_OURS) + _TELLING)
    )
