"""The providers: the four verbs, and what a fake engine can do besides them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vmharness.errors import ProviderError
from vmharness.provider import (
    CommandResult,
    Describes,
    Front,
    Fronts,
    Inspects,
    ListsImages,
    MachineInfo,
    MachineState,
    RunsCommands,
    Settles,
    ShowsDelete,
    TakesLabels,
)
from vmharness_fake._programs import run_program
from vmharness_fake._settings import FOLDER
from vmharness_fake._specs import IMAGES, LABEL_LENGTH
from vmharness_fake._verbs import Verbs

__all__ = [
    "FakeProvider",
    "FolderFakeProvider",
    "UnlabelledFakeProvider",
    "UnlabelledFolderFakeProvider",
]


class UnlabelledFakeProvider(Verbs, Describes, Inspects, ListsImages, RunsCommands, Settles):
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
                default_user = engine.machines[name].spec.user if info else ""
            if info is None or info.state is not MachineState.RUNNING:
                state = f"is {info.state}" if info else "isn't there"
                raise ProviderError(f"cannot run in {name!r}: it {state}", backend="fake", machine=name)
            result, takes_s = run_program(argv, input=input or b"", user=user or default_user, cwd=cwd)
            if not call.wait_until(self._clock() + takes_s):
                raise TimeoutError(f"cannot run in {name!r}: no end after {timeout:g} s")
            return result

    def stop(self, name: str) -> None:
        """Stop a machine if it is there, as a person could; the interface has no such verb."""
        with self.store.locked() as engine:
            if name in engine.machines:
                engine.machines[name] = replace(engine.machines[name], stopped=True)


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
