"""The thin client of `orbctl`: the one place that knows its arguments and turns its errors into ours.

It waits for nothing and remembers nothing. What is known of orbctl, and how surely, was gathered from
public threads and working wrappers.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Generator, Iterator, Sequence
from typing import Final

from vmharness.command import CommandLine, describe_failure
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
from vmharness.provider import CommandResult, MachineInfo, Spec
from vmharness_orbstack._catalogue import Entry, Means, is_own_error, look_up, said
from vmharness_orbstack._json import parse_info, parse_list

__all__ = ["BACKEND", "OrbCtl", "RolledBack"]

BACKEND: Final = "orbstack"

_GIB: Final = 1024**3
_MIB: Final = 1024**2


class RolledBack(CreateUnsettled):
    """The engine says that the create failed. It removes what it had made, but was seen to leave some."""


class OrbCtl:
    """OrbStack's command line; each call is one process with a deadline.

    Args:
        command: Runs orbctl.
    """

    def __init__(self, command: CommandLine) -> None:
        self._command = command

    @property
    def program(self) -> str:
        """Name or path of orbctl."""
        return self._command.program

    def require_running(self, *, timeout: float) -> None:
        """Return if OrbStack runs. To be asked first: most other commands start a stopped one.

        Raises:
            EngineUnavailable: It doesn't, or doesn't answer; nothing was started.
        """
        args = ["status"]
        result = self._query(args, timeout=timeout)
        words = re.findall(r"\b(running|stopped|starting)\b", result.stdout.lower())
        state = words[-1] if words else ""
        if result.status == 0 and state in ("", "running"):
            return
        if not state and (result.stderr.strip() or result.status not in (1, 2)):
            raise self._unavailable("ask OrbStack whether it runs", args, result)
        if state == "starting" or (not state and result.status == 2):
            raise EngineUnavailable(
                "cannot use OrbStack: it is starting; try again in a moment", backend=BACKEND, retryable=True
            )
        raise EngineUnavailable(
            "cannot use OrbStack: it is not running; start it with `orbctl start`", backend=BACKEND
        )

    def version(self, *, timeout: float) -> str:
        """Return OrbStack's version, or raise EngineUnavailable."""
        args = ["version"]
        result = self._query(args, timeout=timeout)
        found = re.search(r"Version:\s*([\d.]+)", result.stdout)
        if result.status != 0 or found is None:
            raise self._unavailable("ask for OrbStack's version", args, result)
        return found[1]

    def machines(self, *, timeout: float) -> Sequence[MachineInfo]:
        """Return all machines, without their addresses, or raise EngineUnavailable."""
        args = ["list", "--format", "json"]
        result = self._query(args, timeout=timeout)
        if result.status != 0:
            raise self._unavailable("list OrbStack's machines", args, result)
        try:
            return parse_list(result.stdout)
        except ValueError as exc:
            raise self._unreadable("list OrbStack's machines", exc) from exc

    def info(self, name: str, *, timeout: float) -> MachineInfo | None:
        """Return one machine with its address, None if it is absent, or raise EngineUnavailable."""
        args = ["info", name, "--format", "json"]
        result = self._query(args, timeout=timeout)
        if result.status != 0:
            if look_up(said(result.stderr)).means is Means.NOT_FOUND:
                return None
            raise self._unavailable(f"look at machine {name!r}", args, result)
        try:
            return parse_info(result.stdout)
        except ValueError as exc:
            raise self._unreadable(f"look at machine {name!r}", exc) from exc

    def create(self, spec: Spec, image: str, *, timeout: float) -> None:
        """Make a machine; orbctl returns once it is set up, and its daemon goes on when orbctl dies.

        Args:
            spec: What is asked for; of it, image, kind and labels are not read.
            image: The image in orbctl's form.
            timeout: Seconds until the deadline.

        Raises:
            NameTaken, CreateFailed, CreateUnsettled, CreateTimeout: As a provider's create.
            RolledBack: A listing must tell whether something was left.
        """
        what = f"create machine {spec.name!r}"
        with _lend_file(spec.user_data) as user_data:
            args = ["create", *_create_flags(spec, user_data), image, spec.name]
            try:
                result = self._command.run(args, timeout=timeout)
            except EngineUnavailable as exc:
                raise CreateFailed(f"cannot {what}: {exc}", backend=BACKEND, machine=spec.name) from exc
            except TimeoutError as exc:
                raise CreateTimeout(
                    f"cannot {what} within {timeout:.3g} s; OrbStack goes on, and it may still appear",
                    backend=BACKEND,
                    machine=spec.name,
                ) from exc
        if result.status != 0:
            error = self._create_error(what, args, result, spec.name)
            refused = look_up(said(result.stderr)).means is Means.REFUSED
            raise error from (NotSupported(str(error), backend=BACKEND) if refused else None)

    def clone(self, source: str, name: str, *, timeout: float) -> None:
        """Make a stopped copy of a machine.

        Raises:
            NameTaken, CreateFailed, CreateUnsettled, CreateTimeout: As a provider's create.
        """
        what = f"clone machine {source!r} as {name!r}"
        args = ["clone", source, name]
        try:
            result = self._command.run(args, timeout=timeout)
        except EngineUnavailable as exc:
            raise CreateFailed(f"cannot {what}: {exc}", backend=BACKEND, machine=name) from exc
        except TimeoutError as exc:
            raise CreateTimeout(
                f"cannot {what} within {timeout:.3g} s; OrbStack goes on, and it may still appear",
                backend=BACKEND,
                machine=name,
            ) from exc
        if result.status == 0:
            return
        entry = look_up(said(result.stderr))
        kind: type[ProviderError] = CreateUnsettled
        if entry.means is Means.NAME_TAKEN:
            kind = NameTaken
        elif entry.means in (Means.NOT_FOUND, Means.REFUSED, Means.DOWN, Means.BUSY):
            kind = CreateFailed
        raise kind(self._text(what, args, result, entry), backend=BACKEND, machine=name)

    def start(self, name: str, *, timeout: float) -> None:
        """Start a machine; one that runs is left alone.

        Raises:
            ProviderError, TimeoutError: It may not run.
        """
        self._act(f"start machine {name!r}", "start", [], name, timeout=timeout)

    def stop(self, name: str, *, timeout: float) -> None:
        """Stop a machine; one that is stopped is left alone.

        Raises:
            ProviderError, TimeoutError: It may still run.
        """
        self._act(f"stop machine {name!r}", "stop", [], name, timeout=timeout)

    def push(self, name: str, source: str, target: str, *, timeout: float) -> None:
        """Copy a file into a machine.

        Raises:
            ProviderError, TimeoutError: It was not copied.
        """
        what = f"copy {source!r} into machine {name!r}"
        self._act(what, "push", [f"--machine={name}", _path(source)], name, target, timeout=timeout)

    def pull(self, name: str, source: str, target: str, *, timeout: float) -> None:
        """Copy a file out of a machine.

        Raises:
            ProviderError, TimeoutError: It was not copied.
        """
        what = f"copy {source!r} out of machine {name!r}"
        self._act(what, "pull", [f"--machine={name}", source], name, _path(target), timeout=timeout)

    def _act(
        self, what: str, verb: str, args: Sequence[str], name: str, last: str = "", *, timeout: float
    ) -> None:
        """Run a command about one machine that must succeed; its last word is the name, or another."""
        if not name or name.startswith("-"):
            # Without a name, `stop` stops all of OrbStack.
            raise ProviderError(f"cannot {what}: that is no machine's name", backend=BACKEND, machine=name)
        words = [verb, *args, last or name]
        result = self._command.run(words, timeout=timeout)
        if result.status == 0:
            return
        entry = look_up(said(result.stderr))
        kind = EngineUnavailable if entry.means is Means.DOWN else ProviderError
        retryable = entry.retryable or entry.means is Means.BUSY
        text = self._text(what, words, result, entry)
        raise kind(text, backend=BACKEND, machine=name, retryable=retryable)

    def delete(self, name: str, *, timeout: float) -> None:
        """Delete the machine of that name (an ID crashes some releases); an absent one is a success.

        Raises:
            Busy, DeleteFailed, EngineUnavailable: As a provider's delete.
        """
        what = f"delete machine {name!r}"
        args = ["delete", "--force", name]
        try:
            result = self._command.run(args, timeout=timeout)
        except TimeoutError as exc:
            raise DeleteFailed(
                f"cannot {what} within {timeout:.3g} s; OrbStack may go on",
                backend=BACKEND,
                machine=name,
                retryable=True,
            ) from exc
        if result.status == 0:
            return
        entry = look_up(said(result.stderr))
        text = self._text(what, args, result, entry)
        if entry.means is Means.NOT_FOUND:
            return
        if entry.means is Means.BUSY:
            raise Busy(text, backend=BACKEND, machine=name)
        if entry.means is Means.DOWN:
            raise EngineUnavailable(text, backend=BACKEND, machine=name)
        raise DeleteFailed(text, backend=BACKEND, machine=name, retryable=entry.retryable)

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
        """Run a command in a machine; a stopped one is started by that.

        Raises:
            ProviderError: It was not run, or orbctl failed on the way.
            TimeoutError: The deadline passed.
        """
        what = f"run a command in machine {name!r}"
        if not name or not argv or argv[0].startswith("-"):
            # Without a name orbctl takes the default machine; a first word with a dash it takes for a flag.
            raise ProviderError(
                f"cannot {what}: it takes a name, and a command that doesn't begin with '-'; got {[*argv]!r}",
                backend=BACKEND,
                machine=name,
            )
        flags = [f"--machine={name}"]
        flags += [f"--user={user}"] if user else []
        flags += [f"--workdir={cwd}"] if cwd else []
        args = ["run", *flags, *argv]  # no "--" in front of the command: orbctl rejects it
        result = self._command.run(args, timeout=timeout, input=input)
        last = result.stderr.strip().rpartition("\n")[2]
        if result.status < 0 or (result.status == 1 and is_own_error(last)):
            entry = look_up(said(last))
            text = self._text(what, args, result, entry)
            kind = EngineUnavailable if entry.means is Means.DOWN else ProviderError
            retryable = entry.retryable or entry.means is Means.BUSY
            raise kind(text, backend=BACKEND, machine=name, retryable=retryable)
        return result

    def _query(self, args: Sequence[str], *, timeout: float) -> CommandResult:
        """Run a command that changes nothing."""
        try:
            return self._command.run(args, timeout=timeout)
        except TimeoutError as exc:
            raise EngineUnavailable(
                f"OrbStack does not answer: {exc}; if it stays so, restart it: `orbctl stop`, `orbctl start`",
                backend=BACKEND,
                retryable=True,
            ) from exc

    def _text(self, what: str, args: Sequence[str], result: CommandResult, entry: Entry) -> str:
        """Say what could not be done, what orbctl said, and what to do about it."""
        failure = describe_failure(self.program, args, result)
        return f"cannot {what}: {failure}" + (f"; {entry.hint}" if entry.hint else "")

    def _create_error(
        self, what: str, args: Sequence[str], result: CommandResult, name: str
    ) -> ProviderError:
        message = said(result.stderr)
        entry = look_up(message)
        kind: type[ProviderError] = CreateUnsettled
        if entry.means is Means.NAME_TAKEN:
            kind = NameTaken
        elif f"create '{name}': " in message or entry.means is Means.ROLLED_BACK:
            kind = RolledBack  # the daemon's words: it has ended this very create
        elif entry.means in (Means.REFUSED, Means.DOWN):
            kind = CreateFailed
        text = self._text(what, args, result, entry)
        return kind(text, backend=BACKEND, machine=name, retryable=entry.retryable)

    def _unavailable(self, what: str, args: Sequence[str], result: CommandResult) -> EngineUnavailable:
        entry = look_up(said(result.stderr))
        text = self._text(what, args, result, entry)
        return EngineUnavailable(text, backend=BACKEND, retryable=entry.means is not Means.DOWN)

    def _unreadable(self, what: str, exc: ValueError) -> EngineUnavailable:
        text = f"cannot {what}: {self.program} gave no complete answer: {exc}"
        return EngineUnavailable(text, backend=BACKEND, retryable=True)


def _create_flags(spec: Spec, user_data: str) -> Iterator[str]:
    """Give the flags of a create, each in one word, so that no value is taken for a flag."""
    if spec.arch:
        yield f"--arch={spec.arch}"
    if spec.user:
        yield f"--user={spec.user}"
    if user_data:
        yield f"--user-data={user_data}"
    if spec.cpus is not None:
        yield f"--cpus={spec.cpus}"
    if spec.memory is not None:
        yield f"--memory={_size(spec.memory)}"
    if spec.disk is not None:
        yield f"--disk={_size(spec.disk)}"


def _path(path: str) -> str:
    """Write a path of the host so that it is never taken for a flag."""
    return f"./{path}" if path.startswith("-") else path


def _size(size: int) -> str:
    """Write bytes as orbctl takes them: whole GiB, else whole MiB, rounded up."""
    return f"{size // _GIB}G" if size % _GIB == 0 else f"{-(-size // _MIB)}M"


@contextlib.contextmanager
def _lend_file(text: str) -> Generator[str, None, None]:
    """Lend the path of a file with that text, readable by this user only; "" if there is no text."""
    if not text:
        yield ""
        return
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", prefix="vmharness-") as file:
        file.write(text)
        file.flush()
        yield file.name
