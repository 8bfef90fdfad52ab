"""OrbStack's commands over another backend of vmharness, through the public interface alone.

Only machines that were made here are shown and deleted: they carry a label with their ID. A backend without
labels shows all of its machines.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import entry_points
from typing import Any, Final

from vmharness.errors import CreateFailed, EngineUnavailable, NameTaken, ProviderError, VMHarnessError
from vmharness.provider import (
    Clones,
    CommandResult,
    Connect,
    Inspects,
    MachineInfo,
    MachineState,
    Provider,
    Renames,
    RunsCommands,
    Spec,
    StartsAndStops,
    TakesLabels,
)
from vmharness_orbctl._copy import pull, push
from vmharness_orbctl._daemon import Daemon, default_of, new_id
from vmharness_orbctl._failure import RESERVED, Failure, absent, oops, refusing
from vmharness_orbctl._images import canonical, numbered
from vmharness_orbctl._input import read_input
from vmharness_orbctl._log import Call
from vmharness_orbctl._sizes import limits
from vmharness_orbctl._types import Memory, Order, Settings
from vmharness_orbctl._users import add_user

__all__ = ["OtherEngine", "open_other"]

_ID: Final = "orbctl.id"
_USER: Final = "orbctl.user"
_IMAGE: Final = "orbctl.image"
_LIMITS: Final = "orbctl.limits"
_STATES: Final = {MachineState.OTHER: "starting"}
_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def open_other(backend: str, folder: str, settings: Settings, call: Call) -> OtherEngine:
    """Open a backend by its name, as an engine of the command.

    Raises:
        Failure: There is no such backend, or what it needs isn't installed.
    """
    found = [*entry_points(group="vmharness.backends", name=backend)]
    if not found:
        names = ", ".join(sorted({point.name for point in entry_points(group="vmharness.backends")}))
        raise Failure(f"orbctl of vmharness: no backend {backend!r} is installed; there are {names}")
    connect: Connect = found[0].load()
    try:
        return OtherEngine(connect(), backend, settings, call, Daemon(folder))
    except VMHarnessError as exc:
        raise oops(str(exc)) from exc


class OtherEngine:
    """Any backend's machines, as if OrbStack had made them.

    Args:
        provider: The backend's provider.
        backend: Its name.
        settings: The settings of the folder.
        call: The command under way.
        memory: Remembers what the engine doesn't: the default machine, and what `config` sets.
    """

    def __init__(
        self, provider: Provider, backend: str, settings: Settings, call: Call, memory: Memory
    ) -> None:
        self._provider = provider
        self._backend = backend
        self._call = call
        self._timeout = float(settings.get("timeout_s", 600))
        self.settings = settings
        self.memory = memory

    def begin(self, verb: str, *, starts: bool) -> None:
        """Do nothing: an engine that is stopped is not ours to start."""

    def status(self) -> str:
        """Return whether the engine answers."""
        try:
            self._provider.list()
        except EngineUnavailable:
            return "Stopped"
        return "Running"

    def start_engine(self) -> None:
        """Do nothing: it runs, or isn't ours to start."""

    def stop_engine(self) -> None:
        """Refuse: others may use the engine."""
        raise oops(f"stop: the {self._backend} engine is not OrbStack's to stop; give a machine's name")

    def create(self, order: Order) -> None:
        """Make a machine."""
        name = order["name"]
        if name in RESERVED:
            raise oops(f"create '{name}': machine already exists: '{name}'", nothing_made=True)
        version = canonical(order["distro"], order["version"])
        if version is None:
            raise oops(f"create '{name}': unsupported distro or architecture", nothing_made=True)
        typed = f"{order['distro']}:{order['version']}".rstrip(":")
        images: Mapping[str, str] = self.settings.get("images", {})
        if version == "" and typed not in images:
            image = f"{order['distro']} {order['version']} {order['arch']} default"
            raise oops(f"create '{name}': make rootfs: image not found: {{{image}}}", nothing_made=True)
        sizes = limits(order)
        words = f"{order['distro']} {version or order['version']} {order['arch']}"
        memory = sizes.get("memory_limit_mib")
        spec = Spec(
            name=name,
            image=images.get(typed, images.get("*", numbered(order["distro"], order["version"]))),
            arch="" if order["arch"] == _host_arch() else order["arch"],
            user_data=order["user_data"],
            cpus=sizes.get("cpu_limit"),
            memory=None if memory is None else memory << 20,
            disk=sizes.get("disk_limit_bytes"),
            labels=self._labels(
                order["user"], words, " ".join(f"{key}={size}" for key, size in sizes.items())
            ),
        )
        try:
            self._provider.create(spec, timeout=self._timeout)
        except NameTaken as exc:
            raise oops(f"create '{name}': machine already exists: '{name}'", nothing_made=True) from exc
        except VMHarnessError as exc:
            failed = isinstance(exc, CreateFailed)
            stage = "make rootfs" if failed else "setup"
            raise oops(f"create '{name}': {stage}: {exc}", nothing_made=failed) from exc
        self._call.log("accepted")
        if order["user"] and isinstance(self._provider, RunsCommands):
            try:
                add_user(self._provider, name, order["user"], self._timeout)
            except (VMHarnessError, TimeoutError) as exc:
                raise oops(f"create '{name}': setup: do initial setup: {exc}") from exc

    def records(self) -> Sequence[Mapping[str, Any]]:
        """Return all machines, sorted by name."""
        return [self._details(info) for info in sorted(self._machines(), key=lambda info: info.name)]

    def details(self, key: str) -> Mapping[str, Any]:
        """Return one machine, with its address where the backend tells it."""
        info = self._find(key)
        if isinstance(self._provider, Inspects):
            try:
                info = self._provider.inspect(info.name) or info
            except VMHarnessError as exc:
                raise oops(str(exc)) from exc
        return self._details(info)

    def delete(self, key: str) -> None:
        """Delete a machine."""
        name = self._find(key).name
        try:
            self._provider.delete(name, timeout=self._timeout)
        except VMHarnessError as exc:
            raise oops(f"delete '{name}': {exc}") from exc
        self._call.log("accepted", name=name)

    def start(self, key: str) -> None:
        """Start a machine; one that runs is left alone."""
        info = self._find(key)
        if info.state is MachineState.RUNNING:
            return
        provider = self._provider
        if not isinstance(provider, StartsAndStops):
            raise self._cannot("start machines")
        try:
            provider.start(info.name, timeout=self._timeout)
        except (VMHarnessError, TimeoutError) as exc:
            raise oops(f"start '{info.name}': {exc}") from exc

    def stop(self, key: str) -> None:
        """Stop a machine; one that is stopped is left alone."""
        info = self._find(key)
        if info.state is MachineState.STOPPED:
            return
        provider = self._provider
        if not isinstance(provider, StartsAndStops):
            raise self._cannot("stop machines")
        try:
            provider.stop(info.name, timeout=self._timeout)
        except (VMHarnessError, TimeoutError) as exc:
            raise oops(f"stop '{info.name}': {exc}") from exc

    def clone(self, source: str, name: str) -> None:
        """Make a copy of a machine, which is stopped if the backend can stop it."""
        with refusing():
            original = self._find(source)
            if not isinstance(self._provider, Clones):
                raise self._cannot("clone machines")
        own = original.labels or {}
        labels = self._labels(self._user(original), own.get(_IMAGE, ""), own.get(_LIMITS, ""))
        spec = Spec(name=name, labels=labels)
        try:
            self._provider.clone(original.name, spec, timeout=self._timeout)
        except NameTaken as exc:
            raise oops(f"clone '{source}': machine already exists: '{name}'", nothing_made=True) from exc
        except VMHarnessError as exc:
            raise oops(f"clone '{source}': {exc}", nothing_made=isinstance(exc, CreateFailed)) from exc
        self._call.log("accepted", name=name)
        if isinstance(self._provider, StartsAndStops):
            self.stop(name)

    def rename(self, key: str, name: str) -> None:
        """Give a machine another name; it may stop for that, and runs again."""
        info = self._find(key)
        if not isinstance(self._provider, Renames):
            raise self._cannot("rename machines")
        try:
            self._provider.rename(info.name, name, timeout=self._timeout)
        except NameTaken as exc:
            raise oops(f"rename '{key}': machine already exists: '{name}'") from exc
        except (VMHarnessError, TimeoutError) as exc:
            raise oops(f"rename '{key}': {exc}") from exc
        with self.memory as memory:
            if memory.state["default"] == info.name:
                memory.state["default"] = name

    def set_user(self, key: str, user: str) -> None:
        """Make a user the default one of a machine, which may have no such user."""
        info = self._find(key)
        with self.memory as memory:
            memory.state.setdefault("config", {})[_username(info)] = user

    def run(self, key: str, argv: Sequence[str], *, user: str, workdir: str) -> int:
        """Run a command in a machine; its input is read to the end first, if it was given any."""
        info = self._find(key)
        if info.state is not MachineState.RUNNING:
            self.start(info.name)
        given = read_input()
        run = partial(
            self._runner().run, info.name, timeout=self._timeout, user=user or self._user(info), cwd=workdir
        )
        try:
            result = run(_with_variables(argv), input=given)
        except (VMHarnessError, TimeoutError) as exc:
            if isinstance(exc, ProviderError) and _is_missing(argv[0], run):
                raise Failure(f"-bash: line 1: {argv[0]}: command not found", 127) from exc
            raise oops(str(exc)) from exc
        sys.stdout.write(result.stdout)
        sys.stderr.write(result.stderr)
        return result.status

    def push(self, key: str, source: str, target: str) -> None:
        """Copy a file or folder into a machine, by a command in it if need be."""
        self._copy(push, self._find(key).name, source, target)

    def pull(self, key: str, source: str, target: str) -> None:
        """Copy a file or folder out of a machine, by a command in it if need be."""
        self._copy(pull, self._find(key).name, source, target)

    def default(self) -> str:
        """Return the machine that was set, else the oldest."""
        machines = sorted(self._machines(), key=lambda info: info.created_at or 0.0)
        with self.memory as memory:
            return default_of(memory.state, [info.name for info in machines])

    def set_default(self, key: str) -> None:
        """Set the default machine, or that there is none."""
        name = self._find(key).name if key else "none"
        with self.memory as memory:
            memory.state["default"] = name

    def _copy(self, how: Any, name: str, source: str, target: str) -> None:
        try:
            how(self._provider, name, source, target, self._timeout)
        except (VMHarnessError, TimeoutError, OSError) as exc:
            raise oops(f"copy {source}: {exc}") from exc

    def _runner(self) -> RunsCommands:
        if not isinstance(self._provider, RunsCommands):
            raise self._cannot("run commands")
        return self._provider

    def _cannot(self, what: str) -> Failure:
        return oops(f"not supported: the backend {self._backend} can't {what}")

    def _labels(self, user: str, image: str, sizes: str) -> Mapping[str, str]:
        if not isinstance(self._provider, TakesLabels):
            return {}
        import time

        return {_ID: new_id(time.time()), _USER: user, _IMAGE: image, _LIMITS: sizes}

    def _user(self, info: MachineInfo) -> str:
        """Return the default user that was set or that a create asked for; "" = the backend's own."""
        with self.memory as memory:
            kept = memory.state.get("config", {})
        return kept.get(_username(info), (info.labels or {}).get(_USER, ""))

    def _machines(self) -> Sequence[MachineInfo]:
        try:
            found = self._provider.list()
        except VMHarnessError as exc:
            raise oops(str(exc)) from exc
        return [info for info in found if info.labels is None or info.labels.get(_ID)]

    def _find(self, key: str) -> MachineInfo:
        for info in self._machines():
            if key and key in (info.name, _id(info)):
                return info
        raise absent(key)

    def _details(self, info: MachineInfo) -> Mapping[str, Any]:
        labels = info.labels or {}
        distro, version, arch, *_ = [*labels.get(_IMAGE, info.image or "unknown").split(" "), "", ""]
        sizes = (size.partition("=") for size in labels.get(_LIMITS, "").split())
        config: dict[str, Any] = {"isolated": False, "default_username": self._user(info) or "root"}
        record = {
            "id": _id(info),
            "name": info.name,
            "image": {
                "distro": distro,
                "version": version or "current",
                "arch": arch or _host_arch(),
                "variant": "default",
            },
            "config": {**config, **{key: int(number) for key, _, number in sizes}},
            "builtin": False,
            "state": _STATES.get(info.state, info.state.value),
        }
        address = {"ip4" if "." in info.address else "ip6": info.address} if info.address else {}
        return {"record": record, **address}


def _with_variables(argv: Sequence[str]) -> Sequence[str]:
    """Return the command that hands on the variables which ORBENV names."""
    names = [name for name in os.environ.get("ORBENV", "").split(":") if name in os.environ]
    return ["env", *(f"{name}={os.environ[name]}" for name in names), *argv] if names else argv


def _is_missing(program: str, run: Callable[[Sequence[str]], CommandResult]) -> bool:
    """Whether there surely is no such program: a backend that couldn't start it needn't say why."""
    try:
        return run(["sh", "-c", 'command -v -- "$1"', "sh", program]).status != 0
    except (VMHarnessError, TimeoutError):
        return False


def _username(info: MachineInfo) -> str:
    """Return under which key it is remembered who a machine's default user is."""
    return f"machine.{_id(info)}.username"


def _id(info: MachineInfo) -> str:
    """Return a machine's ULID: from its label, else made from its name and the time of its creation."""
    own = (info.labels or {}).get(_ID)
    if own:
        return own
    digest = hashlib.sha256(f"{info.name} {info.created_at}".encode()).digest()[:10]
    number = int((info.created_at or 0.0) * 1000) << 80 | int.from_bytes(digest, "big")
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


def _host_arch() -> str:
    return "amd64" if os.uname().machine in ("x86_64", "amd64") else "arm64"
