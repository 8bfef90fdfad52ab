"""The four verbs over orbctl: checks before, waits after, and deadlines; it knows no argument of orbctl.

OrbStack keeps no labels, so a machine is known by its name and by the time in its ID. The four verbs and
`describe` never start a stopped OrbStack: they ask for its status first.
"""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Callable, Sequence
from typing import Final

from vmharness.command import CommandLine
from vmharness.errors import (
    CreateFailed,
    CreateTimeout,
    CreateUnsettled,
    DeleteFailed,
    EngineUnavailable,
    ProviderError,
)
from vmharness.provider import (
    CommandResult,
    Describes,
    MachineInfo,
    MachineState,
    Provider,
    RunsCommands,
    Settles,
    ShowsDelete,
    Spec,
)
from vmharness_orbstack._cli import BACKEND, OrbCtl, RolledBack
from vmharness_orbstack._images import native_image

__all__ = ["OrbStackProvider"]

# What OrbStack takes in all its releases; it takes more, but how much more differs.
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,38}[a-z0-9]")
# OrbStack's own machines, and its word for whichever machine is the default one.
_RESERVED: Final = frozenset({"docker", "k8s", "default"})
_ARCHES: Final = {"arm64": "arm64", "aarch64": "arm64", "amd64": "amd64", "x86_64": "amd64"}

_STATUS_S: Final = 10.0
_QUERY_S: Final = 30.0
_TRIAL_S: Final = 10.0
_POLL_S: Final = 0.2


class OrbStackProvider(Provider, RunsCommands, ShowsDelete, Describes, Settles):
    """Machines of one login user's OrbStack. Keeps no state; may be used from several threads.

    OrbStack makes one kind of machine: a full Linux system of its own, whose kernel is shared with the
    others in OrbStack's virtual machine. It stands for every kind that can be asked for.

    Args:
        command: Runs orbctl.
        endpoint: What `endpoint` shall say.
        clock: Seconds from any origin, never going back.
        sleep: Waits for so many seconds.
    """

    def __init__(
        self,
        command: CommandLine,
        *,
        endpoint: str,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._cli = OrbCtl(command)
        self._endpoint = endpoint
        self._clock = clock
        self._sleep = sleep

    @property
    def endpoint(self) -> str:
        """Whose OrbStack this is."""
        return self._endpoint

    @property
    def settle_s(self) -> float:
        """Seconds for which OrbStack may go on with a create whose client is gone.

        A name is listed from the moment the daemon takes the create up, so this is mostly for a daemon
        that is slow to do so: creates of 12 to 15 s are usual, and under load 179 s were seen.
        """
        return 120.0

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        """Make a machine: it runs, has an address, and has run a trial command. Labels are not kept."""
        ends = self._clock() + timeout
        checked = _check(spec)
        try:
            self._cli.require_running(timeout=min(_STATUS_S, timeout))
        except EngineUnavailable as exc:
            raise CreateFailed(
                f"cannot create machine {spec.name!r}: {exc}",
                backend=BACKEND,
                machine=spec.name,
                retryable=exc.retryable,
            ) from exc
        try:
            self._cli.create(checked, checked.image, timeout=self._left(ends))
        except RolledBack as exc:
            raise self._settle(exc, ends) from exc
        return self._wait_ready(spec.name, ends, timeout)

    def list(self) -> Sequence[MachineInfo]:
        """Return all machines, without their addresses; a stopped OrbStack stays stopped."""
        return self._list_within(_STATUS_S + _QUERY_S)

    def delete(self, name: str, *, timeout: float) -> None:
        """Delete the machine, running or not; on return it is gone.

        Only a name that is listed is given to orbctl, which would take an ID for a name as well.
        """
        ends = self._clock() + timeout
        if self._find(name, ends) is None:
            return
        self._cli.delete(name, timeout=self._left(ends))
        while self._find(name, ends) is not None:
            if self._clock() >= ends:
                raise DeleteFailed(
                    f"cannot delete machine {name!r} within {timeout:.3g} s: "
                    "OrbStack says that it did, and still lists it",
                    backend=BACKEND,
                    machine=name,
                    retryable=True,
                )
            self._sleep(_POLL_S)

    def exists(self, name: str) -> bool:
        """Say whether a machine of that name is listed."""
        return any(machine.name == name for machine in self.list())

    def describe(self) -> str:
        """Return OrbStack's name and version; never starts a stopped OrbStack."""
        self._cli.require_running(timeout=_STATUS_S)
        return f"OrbStack {self._cli.version(timeout=_STATUS_S)}"

    def delete_argv(self, name: str) -> Sequence[str]:
        """Return orbctl's command that deletes the machine."""
        return (self._cli.program, "delete", "--force", name)

    def run(
        self,
        name: str,
        argv: Sequence[str],
        *,
        timeout: float,
        input: bytes | None = None,
        user: str = "",
        cwd: str = "",
    ) -> CommandResult:
        """Run a command in the machine; one that is stopped is started by that, OrbStack too."""
        return self._cli.run(name, argv, timeout=timeout, input=input, user=user, cwd=cwd)

    def _left(self, ends: float) -> float:
        return max(0.0, ends - self._clock())

    def _list_within(self, seconds: float) -> Sequence[MachineInfo]:
        ends = self._clock() + seconds
        self._cli.require_running(timeout=min(_STATUS_S, seconds))
        return self._cli.machines(timeout=min(_QUERY_S, self._left(ends)))

    def _find(self, name: str, ends: float) -> MachineInfo | None:
        # A listing that the deadline would cut short says nothing, so it always gets a little time.
        listing = self._list_within(max(self._left(ends), 1.0))
        return next((machine for machine in listing if machine.name == name), None)

    def _settle(self, exc: RolledBack, ends: float) -> ProviderError:
        """Return CreateFailed if nothing is left of a create that OrbStack gave up, else CreateUnsettled."""
        try:
            left = self._find(exc.machine, ends)
            while left is not None and left.state is MachineState.DELETING and self._clock() < ends:
                self._sleep(_POLL_S)
                left = self._find(exc.machine, ends)
        except EngineUnavailable as unknown:
            said = f"{exc}; whether something is left is not known: {unknown}"
        else:
            if left is None:
                return CreateFailed(
                    str(exc), backend=exc.backend, machine=exc.machine, retryable=exc.retryable
                )
            said = f"{exc}; it is still listed as {left.state}"
        return CreateUnsettled(said, backend=exc.backend, machine=exc.machine, retryable=exc.retryable)

    def _wait_ready(self, name: str, ends: float, timeout: float) -> MachineInfo:
        """Wait for a running machine with an address that runs commands."""
        while True:
            ready, why = self._try(name, ends)
            if ready is not None:
                return ready
            if self._clock() >= ends:
                raise CreateTimeout(
                    f"cannot use machine {name!r} within {timeout:.3g} s: OrbStack has made it, but {why}",
                    backend=BACKEND,
                    machine=name,
                )
            self._sleep(_POLL_S)

    def _try(self, name: str, ends: float) -> tuple[MachineInfo | None, str]:
        """Return the machine if it can be used; else None, and why not."""
        left = max(self._left(ends), 0.1)
        try:
            machine = self._cli.info(name, timeout=min(_QUERY_S, left))
        except EngineUnavailable as exc:
            if exc.retryable:
                return None, str(exc)
            raise CreateUnsettled(str(exc), backend=BACKEND, machine=name) from exc
        if machine is None:
            raise CreateUnsettled(
                f"cannot use machine {name!r}: OrbStack said that it made it, but doesn't know it any more",
                backend=BACKEND,
                machine=name,
            )
        if machine.state is not MachineState.RUNNING or not machine.address:
            return None, f"its state is {machine.state} and its address {machine.address!r}"
        try:
            trial = self._cli.run(name, ["true"], timeout=min(_TRIAL_S, left))
        except (ProviderError, TimeoutError) as exc:
            return None, str(exc)
        return (machine, "") if trial.status == 0 else (None, f"'true' ended with {trial.status} in it")


def _check(spec: Spec) -> Spec:
    """Return the spec in orbctl's words, or raise CreateFailed."""

    def refuse(why: str) -> CreateFailed:
        return CreateFailed(f"cannot create machine {spec.name!r}: {why}", backend=BACKEND, machine=spec.name)

    if not _NAME.fullmatch(spec.name):
        raise refuse("a name is 2 to 40 of a-z, 0-9 and '-', begins with a letter, and doesn't end with '-'")
    if spec.name in _RESERVED:
        raise refuse(f"OrbStack keeps the names {', '.join(sorted(_RESERVED))} for itself")
    if spec.arch and spec.arch not in _ARCHES:
        raise refuse(f"OrbStack has no architecture {spec.arch!r}; it has arm64 and amd64")
    try:
        image = native_image(spec.image)
    except ValueError as exc:
        raise refuse(str(exc)) from exc
    return dataclasses.replace(spec, image=image, arch=_ARCHES.get(spec.arch, ""))
