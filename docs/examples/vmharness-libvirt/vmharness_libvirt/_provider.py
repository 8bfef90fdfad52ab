"""The four verbs and the capabilities; it knows no XML, and of virsh only which command does what."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from vmharness.command import describe_failure
from vmharness.errors import (
    Busy,
    CreateFailed,
    CreateTimeout,
    CreateUnsettled,
    DeleteFailed,
    EngineUnavailable,
    NameTaken,
    NotSupported,
    ProviderError,
)
from vmharness.provider import (
    CommandResult,
    Describes,
    ListsImages,
    MachineInfo,
    Provider,
    RunsCommands,
    Settles,
    ShowsDelete,
    Spec,
    TakesLabels,
)
from vmharness_libvirt._agent import Agent
from vmharness_libvirt._domain import check, read_domains, write_domain
from vmharness_libvirt._virsh import Virsh

__all__ = ["LibvirtProvider"]

_QUERY_S: Final = 30.0
_PING_S: Final = 5.0
_PAUSE_S: Final = 0.2

# What libvirt says when it has refused a domain, or has seen its QEMU end: nothing is or will be there.
# Whatever else it says is no such statement, a lost connection least of all.
_TAKEN: Final = "already exists with uuid"
_REFUSED: Final = (
    "error: failed to connect to the hypervisor",
    "error: unsupported configuration:",
    "error: invalid argument:",
    "error: XML error:",
    "error: internal error: qemu unexpectedly closed the monitor",
    "error: internal error: process exited while connecting to monitor",
)
# Another call holds the domain, or its QEMU, stuck in the kernel, doesn't die yet.
_BUSY: Final = ("cannot acquire state change lock", "Failed to terminate process")


class LibvirtProvider(Provider, TakesLabels, Settles, Describes, ListsImages, ShowsDelete, RunsCommands):
    """Domains of one libvirt. Keeps no state; may be used from several threads.

    Args:
        virsh: Asks libvirt.
        images: The folder of the images.
        clock: Returns seconds that never go back.
        sleep: Waits for some seconds.
    """

    def __init__(
        self,
        virsh: Virsh,
        images: Path,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._virsh = virsh
        self._images = images
        self._clock = clock
        self._sleep = sleep

    @property
    def endpoint(self) -> str:
        """Its URI."""
        return self._virsh.uri

    @property
    def label_length(self) -> int:
        """The longest value of a label; libvirt has no limit that matters."""
        return 4096

    @property
    def settle_s(self) -> float:
        """Seconds for which libvirtd may go on with a create whose client is gone: it starts one process."""
        return 60.0

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        """Start a transient domain, and return once its guest agent answers."""
        ends = self._clock() + timeout
        made = str(uuid.uuid4())
        try:
            image = check(spec, self._images)
            kvm = self._has_kvm(timeout)
        except (ValueError, EngineUnavailable) as exc:
            raise CreateFailed(
                f"cannot create {spec.name!r}: {exc}", backend="libvirt", machine=spec.name
            ) from exc
        xml = write_domain(spec, uuid=made, image=image, kvm=kvm, now=time.time())
        try:
            said = self._virsh.run("create", "/dev/stdin", timeout=ends - self._clock(), input=xml)
            if said.status:
                raise _create_error(spec.name, said)
            self._await_agent(spec.name, made, ends)
        except TimeoutError as exc:
            raise CreateTimeout(
                f"cannot create {spec.name!r} within {timeout:.3g} s: its agent doesn't answer yet",
                backend="libvirt",
                machine=spec.name,
            ) from exc
        info = self._described([made]).get(made)
        if info is None:
            raise CreateUnsettled(
                f"cannot create {spec.name!r}: it was there, and can't be described any more",
                backend="libvirt",
                machine=spec.name,
            )
        return info

    def list(self) -> Sequence[MachineInfo]:
        """Return all domains, whoever defined them; two calls of virsh, however many there are."""
        named = self._virsh.domains(timeout=_QUERY_S)
        found = self._described([*named])
        missing = named.keys() - found.keys()
        if missing and missing & self._virsh.domains(timeout=_QUERY_S).keys():
            raise self._virsh.unavailable(["dumpxml"], "it doesn't describe all of its domains")
        return [*found.values()]

    def delete(self, name: str, *, timeout: float) -> None:
        """Destroy the domain, and undefine it if somebody has defined it."""
        ends = self._clock() + timeout
        found = self._uuid(name)
        if found is None:
            return
        errors: list[str] = []
        for words in (["destroy", found], ["undefine", found, "--managed-save", "--nvram"]):
            try:
                said = self._virsh.run(*words, timeout=ends - self._clock())
            except TimeoutError as exc:
                raise DeleteFailed(
                    f"cannot delete {name!r} within {timeout:.3g} s; it may still go",
                    backend="libvirt",
                    machine=name,
                ) from exc
            if found not in self._virsh.domains(timeout=_QUERY_S):
                return
            errors.append(describe_failure("virsh", words, said))
        why = f"cannot delete {name!r}: {'; '.join(errors)}"
        kind = Busy if any(word in why for word in _BUSY) else DeleteFailed
        raise kind(why, backend="libvirt", machine=name)

    def exists(self, name: str) -> bool:
        """Say whether a domain has that name, in any state."""
        return self._uuid(name) is not None

    def describe(self) -> str:
        """Return the versions of libvirt and of QEMU."""
        said = self._virsh.ask("version", "--daemon", timeout=_QUERY_S)
        facts = dict(line.split(": ", 1) for line in said.splitlines() if ": " in line)
        return f"libvirt {facts['Running against daemon']}, {facts['Running hypervisor']}"

    def images(self) -> Sequence[str]:
        """Return the names of the folders that have a kernel."""
        return sorted(path.parent.name for path in self._images.glob("*/kernel"))

    def delete_argv(self, name: str) -> Sequence[str]:
        """Return the command that destroys the domain, which is all where it isn't defined."""
        return self._virsh.argv("destroy", "--domain", name)

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
        """Run a command in the machine as root, through its guest agent."""
        what = f"cannot run {argv[0]!r} in {name!r}"
        if user not in ("", "root"):
            raise NotSupported(f"{what} as {user!r}: its agent is root", backend="libvirt", machine=name)
        found = self._uuid(name)
        if found is None:
            raise ProviderError(f"{what}: there is no such machine", backend="libvirt", machine=name)
        return self._agent(found, name).run(argv, timeout=timeout, input=input, cwd=cwd)

    def _has_kvm(self, timeout: float) -> bool:
        try:
            return not self._virsh.run("domcapabilities", "--virttype", "kvm", timeout=timeout).status
        except TimeoutError as exc:
            raise self._virsh.unavailable(["domcapabilities"], str(exc)) from exc

    def _await_agent(self, name: str, made: str, ends: float) -> None:
        """Wait until the machine can be used; raise TimeoutError, or CreateFailed if it is gone again."""
        agent = self._agent(made, name)
        while not agent.answers(timeout=min(_PING_S, ends - self._clock())):
            if made not in self._virsh.domains(timeout=_QUERY_S):
                raise CreateFailed(
                    f"cannot create {name!r}: it ended while it was starting; libvirt's log of it says why",
                    backend="libvirt",
                    machine=name,
                )
            if self._clock() >= ends:
                raise TimeoutError
            self._sleep(_PAUSE_S)

    def _agent(self, found: str, name: str) -> Agent:
        return Agent(self._virsh, found, name, clock=self._clock, sleep=self._sleep)

    def _uuid(self, name: str) -> str | None:
        uuids = (found for found, named in self._virsh.domains(timeout=_QUERY_S).items() if named == name)
        return next(uuids, None)

    def _described(self, uuids: Sequence[str]) -> Mapping[str, MachineInfo]:
        try:
            return read_domains(self._virsh.describe(uuids, timeout=_QUERY_S))
        except ValueError as exc:
            raise self._virsh.unavailable(["dumpxml"], str(exc)) from exc


def _create_error(name: str, said: CommandResult) -> ProviderError:
    kind: type[ProviderError] = CreateUnsettled
    if _TAKEN in said.stderr:
        kind = NameTaken
    elif any(line.startswith(_REFUSED) for line in said.stderr.splitlines()):
        kind = CreateFailed
    why = describe_failure("virsh", ["create"], said)
    return kind(f"cannot create {name!r}: {why}", backend="libvirt", machine=name)
