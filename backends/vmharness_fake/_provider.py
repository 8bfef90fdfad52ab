"""The providers: the four verbs, and what a fake engine can do besides them."""

from __future__ import annotations

import base64
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vmharness.errors import CreateFailed, NameTaken, ProviderError
from vmharness.provider import (
    Clones,
    CommandResult,
    CopiesFiles,
    Describes,
    Front,
    Fronts,
    Inspects,
    ListsImages,
    MachineInfo,
    MachineState,
    Renames,
    RunsCommands,
    Settles,
    ShowsDelete,
    Spec,
    StartsAndStops,
    TakesLabels,
)
from vmharness_fake._engine import StoredMachine
from vmharness_fake._programs import run_program
from vmharness_fake._settings import FOLDER
from vmharness_fake._specs import IMAGES, LABEL_LENGTH, complete
from vmharness_fake._verbs import Verbs

__all__ = [
    "FakeProvider",
    "FolderFakeProvider",
    "UnlabelledFakeProvider",
    "UnlabelledFolderFakeProvider",
]


class UnlabelledFakeProvider(
    Verbs,
    Describes,
    Inspects,
    ListsImages,
    RunsCommands,
    CopiesFiles,
    StartsAndStops,
    Clones,
    Renames,
    Settles,
):
    """Machines of a fake engine that has no labels."""

    @property
    def settle_s(self) -> float:
        """Seconds after its deadline within which a create may still bring a machine."""
        return self._latencies.settle_s

    def describe(self) -> str:
        """Say that it is a fake, and where its machines are."""
        with self._call("describe"):
            return f"fake engine, {self.endpoint}"

    def images(self) -> Sequence[str]:
        """Return the names of the images that the engine has."""
        return IMAGES

    def inspect(self, name: str) -> MachineInfo | None:
        """Return the machine, or None if it is absent."""
        with self._call("inspect", name):
            return self._find(name)

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
        """Pretend to run a command: echo, cat, pwd, whoami, sleep, true and false are known."""
        with self._call("run", name, timeout, late=TimeoutError) as call:
            with self.store.locked() as engine:
                info = engine.find(name, self._clock())
                machine = engine.machines.get(name)
                engine.log.append(call.event("accepted"))
            if machine is None or info is None or info.state is not MachineState.RUNNING:
                state = f"is {info.state}" if info else "isn't there"
                raise ProviderError(f"cannot run in {name!r}: it {state}", backend="fake", machine=name)
            files = {path: base64.b64decode(text) for path, text in machine.files.items()}
            result, takes_s = run_program(
                argv, input=input or b"", user=user or machine.spec.user, cwd=cwd, files=files
            )
            if not call.wait_until(self._clock() + takes_s):
                raise TimeoutError(f"cannot run in {name!r}: no end after {timeout:g} s")
            return result

    def push(self, name: str, source: str, target: str, *, timeout: float) -> None:
        """Keep the file's content with the machine."""
        what = f"copy {source!r} into"
        try:
            content = base64.b64encode(Path(source).read_bytes()).decode()
        except OSError as exc:
            raise ProviderError(f"cannot {what} {name!r}: {exc}", backend="fake", machine=name) from exc
        with self._call("push", name, timeout), self.store.locked() as engine:
            machine = self._there(engine.machines.get(name), what, name)
            engine.machines[name] = replace(machine, files={**machine.files, target: content})

    def pull(self, name: str, source: str, target: str, *, timeout: float) -> None:
        """Give out the content of a file that was copied into the machine."""
        what = f"copy {source!r} out of"
        with self._call("pull", name, timeout), self.store.locked() as engine:
            machine = self._there(engine.machines.get(name), what, name)
        if source not in machine.files:
            raise ProviderError(f"cannot {what} {name!r}: no such file", backend="fake", machine=name)
        try:
            Path(target).write_bytes(base64.b64decode(machine.files[source]))
        except OSError as exc:
            raise ProviderError(f"cannot {what} {name!r}: {exc}", backend="fake", machine=name) from exc

    def start(self, name: str, *, timeout: float = 60.0) -> None:
        """Start a machine that was stopped."""
        self._set_stopped(name, "start", timeout, stopped=False)

    def stop(self, name: str, *, timeout: float = 60.0) -> None:
        """Stop a machine."""
        self._set_stopped(name, "stop", timeout, stopped=True)

    def clone(self, source: str, spec: Spec, *, timeout: float) -> MachineInfo:
        """Make a machine from the same image, with the same files."""
        with self._call("clone", source, timeout), self.store.locked() as engine:
            try:
                original = self._there(engine.machines.get(source), "clone", source)
            except ProviderError as exc:
                raise CreateFailed(str(exc), backend="fake", machine=spec.name) from exc
        info = self.create(replace(original.spec, name=spec.name, labels=spec.labels), timeout=timeout)
        with self.store.locked() as engine:
            if spec.name in engine.machines:
                engine.machines[spec.name] = replace(engine.machines[spec.name], files=original.files)
        return info

    def rename(self, name: str, new: str, *, timeout: float) -> None:
        """Give a machine another name, while it runs."""
        with self._call("rename", name, timeout), self.store.locked() as engine:
            machine = self._there(engine.machines.get(name), "rename", name)
            if new in engine.machines:
                raise NameTaken(f"cannot rename {name!r}: there is a {new!r}", backend="fake", machine=new)
            try:
                spec = complete(replace(machine.spec, name=new))
            except CreateFailed as exc:
                raise ProviderError(str(exc), backend="fake", machine=new) from exc
            del engine.machines[name]
            engine.machines[new] = replace(machine, spec=spec)

    def _set_stopped(self, name: str, what: str, timeout: float, *, stopped: bool) -> None:
        with self._call(what, name, timeout), self.store.locked() as engine:
            machine = self._there(engine.machines.get(name), what, name)
            engine.machines[name] = replace(machine, stopped=stopped)

    def _there(self, machine: StoredMachine | None, what: str, name: str) -> StoredMachine:
        if machine is None or machine.info(self._clock()) is None:
            raise ProviderError(f"cannot {what} {name!r}: it isn't there", backend="fake", machine=name)
        return machine


class FakeProvider(UnlabelledFakeProvider, TakesLabels):
    """Machines of a fake engine."""

    @property
    def label_length(self) -> int:
        """The longest value of a label, in characters."""
        return LABEL_LENGTH

    def _shown(self, info: MachineInfo) -> MachineInfo:
        return info


class _HasCommand(Verbs, Fronts, ShowsDelete):
    def fronts(self) -> Sequence[Front]:
        """Return the command that somebody may have made of `python -m vmharness_fake`."""
        reader = str(Path(__file__).with_name("_front.py"))
        return [Front(program="fakectl", reader=reader, variables=(FOLDER,))]

    def delete_argv(self, name: str) -> Sequence[str]:
        """Return the words of a command that deletes a machine in the folder."""
        folder = self.endpoint.removeprefix("folder:")
        return [sys.executable, "-m", "vmharness_fake", "delete", "--dir", folder, "--", name]


class FolderFakeProvider(FakeProvider, _HasCommand):
    """Machines of a fake engine in a folder, which a command can reach, too."""


class UnlabelledFolderFakeProvider(UnlabelledFakeProvider, _HasCommand):
    """Machines of a fake engine in a folder that has no labels."""
