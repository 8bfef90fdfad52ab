"""The four verbs over orbctl: checks before, waits after, and deadlines; it knows no argument of orbctl.

OrbStack keeps no labels, so a machine is known by its name and by the time in its ID. The four verbs and
`describe` never start a stopped OrbStack: they ask for its status first.
"""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from vmharness.command import CommandLine
from vmharness.errors import Busy, CreateFailed, DeleteFailed
from vmharness.provider import (
    AutoChosen,
    Clones,
    CommandResult,
    CopiesFiles,
    Describes,
    Front,
    Fronts,
    Inspects,
    MachineInfo,
    Provider,
    RecognisesCreate,
    RunsCommands,
    Settles,
    ShowsDelete,
    Spec,
    StartsAndStops,
)
from vmharness_orbstack._cli import BACKEND, OrbCtl
from vmharness_orbstack._create import STATUS_S, Create
from vmharness_orbstack._images import native_image
from vmharness_orbstack._recognise import PROGRAMS, recognise

__all__ = ["OrbStackProvider"]

# What OrbStack takes in all its releases; it takes more, but how much more differs.
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,38}[a-z0-9]")
# OrbStack's own machines, and its word for whichever machine is the default one.
_RESERVED: Final = frozenset({"docker", "k8s", "default"})
_ARCHES: Final = {"arm64": "arm64", "aarch64": "arm64", "amd64": "amd64", "x86_64": "amd64"}

# What a machine may be called that others made; none of them could be a flag.
_ANY_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,62}")

_QUERY_S: Final = 30.0
_POLL_S: Final = 0.2
# The longest pause between two deletes of a machine that OrbStack won't let go yet.
_PAUSE_S: Final = 5.0


class OrbStackProvider(
    Provider,
    Settles,
    AutoChosen,
    Describes,
    Inspects,
    ShowsDelete,
    RecognisesCreate,
    Fronts,
    RunsCommands,
    CopiesFiles,
    StartsAndStops,
    Clones,
):
    """Machines of one login user's OrbStack. Keeps no state; may be used from several threads.

    OrbStack makes one kind of machine: a full Linux system of its own, whose kernel is shared with the
    others in OrbStack's virtual machine. It stands for every kind that can be asked for.

    Args:
        command: Runs orbctl.
        endpoint: What `endpoint` shall say.
        clock: Seconds from any origin, never going back.
        sleep: Waits for so many seconds.
        now: Seconds since the epoch, by the clock that OrbStack uses.
    """

    def __init__(
        self,
        command: CommandLine,
        *,
        endpoint: str,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._cli = OrbCtl(command)
        self._endpoint = endpoint
        self._clock = clock
        self._sleep = sleep
        self._now = now

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

    @property
    def auto_rank(self) -> int:
        """Before all others: the user's own desktop."""
        return 10

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        """Make a machine: it runs, has an address, and has run a trial command. Labels are not kept.

        What passes by itself, as a download that failed, is tried again while there is time.
        """
        checked = _check(spec)
        return self._creating(spec.name, timeout).run(checked)

    def list(self) -> Sequence[MachineInfo]:
        """Return all machines, without their addresses; a stopped OrbStack stays stopped."""
        return self._list_within(STATUS_S + _QUERY_S)

    def delete(self, name: str, *, timeout: float) -> None:
        """Delete the machine, running or not; wait while OrbStack refuses; on return it is gone.

        Only a name that is listed is given to orbctl, which would take an ID for a name as well.
        """
        ends = self._clock() + timeout
        pause = _POLL_S
        while self._find(name, ends) is not None:
            try:
                self._cli.delete(name, timeout=self._left(ends))
            except (Busy, DeleteFailed) as exc:
                if not exc.retryable or self._clock() + pause >= ends:
                    raise
            else:
                return self._wait_gone(name, ends, timeout)
            self._sleep(pause)
            pause = min(2 * pause, _PAUSE_S)
        return None

    def exists(self, name: str) -> bool:
        """Say whether a machine of that name is listed."""
        return any(machine.name == name for machine in self.list())

    def inspect(self, name: str) -> MachineInfo | None:
        """Return the machine with its address; a stopped OrbStack stays stopped."""
        if not _ANY_NAME.fullmatch(name):
            return None
        self._cli.require_running(timeout=STATUS_S)
        machine = self._cli.info(name, timeout=_QUERY_S)
        # orbctl takes an ID for a name as well.
        return machine if machine is not None and machine.name == name else None

    def describe(self) -> str:
        """Return OrbStack's name and version; never starts a stopped OrbStack."""
        self._cli.require_running(timeout=STATUS_S)
        return f"OrbStack {self._cli.version(timeout=STATUS_S)}"

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

    def push(self, name: str, source: str, target: str, *, timeout: float) -> None:
        """Copy a file into the machine, running or not."""
        self._cli.push(name, source, target, timeout=timeout)

    def pull(self, name: str, source: str, target: str, *, timeout: float) -> None:
        """Copy a file out of the machine, running or not."""
        self._cli.pull(name, source, target, timeout=timeout)

    def start(self, name: str, *, timeout: float) -> None:
        """Start the machine; one that runs is left alone."""
        self._cli.start(name, timeout=timeout)

    def stop(self, name: str, *, timeout: float) -> None:
        """Stop the machine, and never all of OrbStack, as orbctl does without a name."""
        self._cli.stop(name, timeout=timeout)

    def clone(self, source: str, spec: Spec, *, timeout: float) -> MachineInfo:
        """Make a running copy of a machine, which is paused for that time. Labels are not kept."""
        checked = _check(spec)
        if not _ANY_NAME.fullmatch(source):
            raise CreateFailed(
                f"cannot clone machine {source!r}: there is none", backend=BACKEND, machine=spec.name
            )
        return self._creating(checked.name, timeout).clone(source)

    def recognise(self, argv: Sequence[str]) -> str | None:
        """Return the name of the machine that an `orbctl` or `orb` command would make."""
        return recognise(argv)

    def fronts(self) -> Sequence[Front]:
        """Return `orbctl` and `orb`, which are one command."""
        reader = str(Path(__file__).with_name("_front.py"))
        return [Front(program=program, reader=reader) for program in PROGRAMS]

    def _creating(self, name: str, timeout: float) -> Create:
        return Create(self._cli, name, timeout, clock=self._clock, sleep=self._sleep, now=self._now)

    def _wait_gone(self, name: str, ends: float, timeout: float) -> None:
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

    def _left(self, ends: float) -> float:
        return max(0.0, ends - self._clock())

    def _list_within(self, seconds: float) -> Sequence[MachineInfo]:
        ends = self._clock() + seconds
        self._cli.require_running(timeout=min(STATUS_S, seconds))
        return self._cli.machines(timeout=min(_QUERY_S, self._left(ends)))

    def _find(self, name: str, ends: float) -> MachineInfo | None:
        # A listing that the deadline would cut short says nothing, so it always gets a little time.
        listing = self._list_within(max(self._left(ends), 1.0))
        return next((machine for machine in listing if machine.name == name), None)


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
