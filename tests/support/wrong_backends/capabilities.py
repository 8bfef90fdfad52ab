"""Backends of which one capability is wrong."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from vmharness.errors import EngineUnavailable, ProviderError
from vmharness.provider import (
    AutoChosen,
    CommandResult,
    Front,
    Fronts,
    MachineInfo,
    MachineState,
    RecognisesCreate,
    ShowsDelete,
)
from wrong_backends.right import Right, change

_LONG_S: Final = 1e6


# ---- run -------------------------------------------------------------------------------------------------


class Runs(Right):
    """Runs commands as the right one does; what is wrong comes before or after."""

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
        options = self._before({"timeout": timeout, "input": input, "user": user, "cwd": cwd})
        return self._after(super().run(name, self._words(argv), **options))

    def _before(self, options: dict[str, Any]) -> dict[str, Any]:
        return options

    def _words(self, argv: Sequence[str]) -> Sequence[str]:
        return argv

    def _after(self, result: CommandResult) -> CommandResult:
        return result


class AlwaysZero(Runs):
    """The exit status is lost."""

    def _after(self, result: CommandResult) -> CommandResult:
        return replace(result, status=0)


class Strict(Runs):
    """A status other than 0 raises."""

    def _after(self, result: CommandResult) -> CommandResult:
        if result.status:
            raise ProviderError(f"status {result.status}: {result.stderr}", backend="fake")
        return result


class Mixing(Runs):
    """What went to stderr comes back as stdout."""

    def _after(self, result: CommandResult) -> CommandResult:
        return replace(result, stdout=result.stdout + result.stderr, stderr="")


class Deaf(Runs):
    """What went to stderr is lost."""

    def _after(self, result: CommandResult) -> CommandResult:
        return replace(result, stderr="")


class Stripping(Runs):
    """White space is stripped from the output."""

    def _after(self, result: CommandResult) -> CommandResult:
        return replace(result, stdout=result.stdout.strip())


class Unfed(Runs):
    """The input isn't handed over."""

    def _before(self, options: dict[str, Any]) -> dict[str, Any]:
        return {**options, "input": None}


class Shell(Runs):
    """The command goes through a shell, which splits it anew."""

    def _words(self, argv: Sequence[str]) -> Sequence[str]:
        try:
            return shlex.split(" ".join(argv))
        except ValueError:
            return ["false"]


class AsSomebody(Runs):
    """The user isn't heeded."""

    def _before(self, options: dict[str, Any]) -> dict[str, Any]:
        return {**options, "user": "nobody"}


class AtHome(Runs):
    """The working directory isn't heeded."""

    def _before(self, options: dict[str, Any]) -> dict[str, Any]:
        return {**options, "cwd": ""}


class PatientRun(Runs):
    """Run ignores its deadline."""

    def _before(self, options: dict[str, Any]) -> dict[str, Any]:
        return {**options, "timeout": _LONG_S}


class Absent(Right):
    """A command in an absent machine ends with a status, as a wrapper's does."""

    def run(self, name: str, argv: Sequence[str], **options: Any) -> CommandResult:
        if not self.exists(name):
            return CommandResult(status=1, stdout="", stderr=f"no machine {name}")
        return super().run(name, argv, **options)


# ---- files -----------------------------------------------------------------------------------------------


class TextMode(Right):
    """Files are copied as text, with Unix line ends."""

    def pull(self, name: str, source: str, target: str, *, timeout: float) -> None:
        super().pull(name, source, target, timeout=timeout)
        file = Path(target)
        file.write_bytes(file.read_bytes().replace(b"\r\n", b"\n"))


class Appending(Right):
    """A file that is there on the host is added to."""

    def pull(self, name: str, source: str, target: str, *, timeout: float) -> None:
        file = Path(target)
        before = file.read_bytes() if file.exists() else b""
        super().pull(name, source, target, timeout=timeout)
        file.write_bytes(before + file.read_bytes())


class NothingFound(Right):
    """A file that isn't there is an empty one."""

    def pull(self, name: str, source: str, target: str, *, timeout: float) -> None:
        try:
            super().pull(name, source, target, timeout=timeout)
        except ProviderError:
            Path(target).touch()


class NothingSent(Right):
    """A file that isn't there is sent as an empty one."""

    def push(self, name: str, source: str, target: str, *, timeout: float) -> None:
        if Path(source).exists():
            super().push(name, source, target, timeout=timeout)


class SentNowhere(Right):
    """A file for an absent machine is lost."""

    def push(self, name: str, source: str, target: str, *, timeout: float) -> None:
        if self.exists(name):
            super().push(name, source, target, timeout=timeout)


# ---- start and stop --------------------------------------------------------------------------------------


class StopsOnce(Right):
    """Stop wants the machine to run."""

    def stop(self, name: str, *, timeout: float = 60.0) -> None:
        if any(info.name == name and info.state is MachineState.STOPPED for info in self.list()):
            raise ProviderError(f"{name!r} is stopped", backend="fake", machine=name)
        super().stop(name, timeout=timeout)


class StartsOnce(Right):
    """Start wants the machine to be stopped."""

    def start(self, name: str, *, timeout: float = 60.0) -> None:
        if any(info.name == name and info.state is MachineState.RUNNING for info in self.list()):
            raise ProviderError(f"{name!r} runs", backend="fake", machine=name)
        super().start(name, timeout=timeout)


class Starting(Right):
    """Start returns before the machine runs."""

    def start(self, name: str, *, timeout: float = 60.0) -> None:
        stopped = [info.name for info in self.list() if info.state is MachineState.STOPPED]
        super().start(name, timeout=timeout)
        if name in stopped:
            change(self, name, ready_at=self._clock() + _LONG_S)


class StopsByDeleting(Right):
    """A machine that is stopped twice is deleted."""

    def stop(self, name: str, *, timeout: float = 60.0) -> None:
        if any(info.name == name and info.state is MachineState.STOPPED for info in self.list()):
            self.delete(name, timeout=timeout)
        else:
            super().stop(name, timeout=timeout)


class StopsNothing(Right):
    """To stop an absent machine is a success."""

    def stop(self, name: str, *, timeout: float = 60.0) -> None:
        if self.exists(name):
            super().stop(name, timeout=timeout)


# ---- inspect ---------------------------------------------------------------------------------------------


class Blind(Right):
    """Inspect finds nothing."""

    def inspect(self, name: str) -> MachineInfo | None:
        super().inspect(name)
        return None


class Differing(Right):
    """Inspect gives another state than the listing."""

    def inspect(self, name: str) -> MachineInfo | None:
        info = super().inspect(name)
        return info and replace(info, state=MachineState.OTHER)


class InspectsByPrefix(Right):
    """Inspect takes the beginning of a name for the name."""

    def inspect(self, name: str) -> MachineInfo | None:
        super().inspect(name)
        return next((info for info in self.list() if name and info.name.startswith(name)), None)


class InspectsOptions(Right):
    """Inspect reads `--all` as its own command would."""

    def inspect(self, name: str) -> MachineInfo | None:
        return next(iter(self.list()), None) if name == "--all" else super().inspect(name)


class Shortsighted(Right):
    """Inspect finds nothing when the engine doesn't answer."""

    def inspect(self, name: str) -> MachineInfo | None:
        try:
            return super().inspect(name)
        except EngineUnavailable:
            return None


# ---- facts -----------------------------------------------------------------------------------------------


class Verbose(Right):
    """The description has several lines."""

    def describe(self) -> str:
        return f"{super().describe()}\nlicense: none"


class Assuming(Right):
    """The description is that of any engine of the kind."""

    def describe(self) -> str:
        return "fake engine 1.0"


class Nameless(Right):
    """An image has no name."""

    def images(self) -> Sequence[str]:
        return [*super().images(), ""]


class Backwards(Right):
    """Settling ends before it begins."""

    @property
    def settle_s(self) -> float:
        return -1.0


class Ranked(Right, AutoChosen):
    """The rank is a word."""

    @property
    def auto_rank(self) -> Any:
        return "first"


class Suspicious(Right, RecognisesCreate):
    """Any command is taken for a create."""

    def recognise(self, argv: Sequence[str]) -> str | None:
        return argv[-1] if argv else ""


class Unread(Right, Fronts):
    """The reader of the engine's command lacks a function."""

    def fronts(self) -> Sequence[Front]:
        return [Front(program="fakectl", reader=str(Path(__file__).with_name("reader.py")))]


class DeletesAtOnce(Right, ShowsDelete):
    """To show the command that deletes runs it."""

    def delete_argv(self, name: str) -> Sequence[str]:
        self.delete(name, timeout=60.0)
        return [sys.executable, "-c", "pass"]


class Asking(Right, ShowsDelete):
    """The command that is shown asks first, and deletes nothing without an answer."""

    def delete_argv(self, name: str) -> Sequence[str]:
        return [sys.executable, "-c", "import sys; sys.exit(input('really? ') != 'y')"]


class Doing(Right, ShowsDelete):
    """The command that is shown does nothing."""

    def delete_argv(self, name: str) -> Sequence[str]:
        return [sys.executable, "-c", "pass"]
