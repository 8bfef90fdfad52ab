"""The thin client of `incus` and `lxc`: the one place that knows their arguments and their JSON.

It waits for nothing and remembers nothing. Every machine is named with its remote, every command with its
project, so no default of the command's configuration matters. A machine's name must have been checked.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from vmharness.command import CommandLine
from vmharness.errors import DeleteFailed, EngineUnavailable, ProviderError
from vmharness.provider import CommandResult, MachineInfo, MachineState
from vmharness_incus._endpoint import Endpoint, remotes
from vmharness_incus._errors import Doing, Means, means, said, translate
from vmharness_incus._machine import to_machine

__all__ = ["Client"]

# Statuses of a command that could not be started; other failures of the engine have 1.
_NOT_STARTED_STATUSES: Final = (126, 127)
# What reading an answer raises that has another form than the engine's documentation says.
_NOT_AS_EXPECTED: Final = (AttributeError, KeyError, TypeError, ValueError)


class Client:
    """One engine's command line; each call is one process with a deadline.

    Args:
        command: Runs `incus` or `lxc`, in an environment that means the endpoint's engine.
        endpoint: Which engine.
    """

    def __init__(self, command: CommandLine, endpoint: Endpoint) -> None:
        self._command = command
        self._confirmed = not endpoint.address
        self.endpoint: Final = endpoint
        self.backend: Final = command.backend
        self.program: Final = command.program

    def ask(self, path: str, what: str, *, timeout: float, **options: str) -> Any:
        """Return the engine's answer to a GET, or None if there is no such thing.

        Args:
            path: Below /1.0, as `instances`.
            what: What for, in words.
            timeout: Seconds until the deadline.
            options: Of the query, as `recursion="1"`.

        Raises:
            EngineUnavailable: It gave no complete answer.
        """
        query = urlencode({**options, "project": self.endpoint.project})
        args = ["query", "--", f"{self.endpoint.remote}:/1.0{path}?{query}"]
        try:
            result = self._run(args, timeout=timeout)
        except TimeoutError as exc:
            text = f"no answer within {timeout:.3g} s"
            raise self._error(text, Doing.ASK, what, retryable=True) from exc
        if result.status != 0:
            text = said(result.stderr)
            if means(text)[0] is Means.ABSENT:
                return None
            raise self._error(text, Doing.ASK, what)
        try:
            return json.loads(result.stdout)
        except ValueError as exc:
            raise self._error(f"no complete answer: {exc}", Doing.ASK, what, retryable=True) from exc

    def machines(self, *, timeout: float) -> Sequence[MachineInfo]:
        """Return all machines, without their addresses, by one request that takes 15 ms."""
        what = "list the machines"
        found = self.ask("/instances", what, timeout=timeout, recursion="1")
        try:
            return [to_machine(entry) for entry in found]
        except _NOT_AS_EXPECTED as exc:
            raise self._error(f"no complete answer: {exc!r}", Doing.ASK, what, retryable=True) from exc

    def machine(self, name: str, *, timeout: float) -> MachineInfo | None:
        """Return one machine with its address, or None if it is absent."""
        what = f"look at machine {name!r}"
        found = self.ask(f"/instances/{name}", what, timeout=timeout, recursion="1")
        try:
            return None if found is None else to_machine(found)
        except _NOT_AS_EXPECTED as exc:
            raise self._error(f"no complete answer: {exc!r}", Doing.ASK, what, retryable=True) from exc

    def aliases(self, *, timeout: float) -> Sequence[str]:
        """Return the aliases of the engine's images, sorted."""
        found = self.ask("/images/aliases", "list the images", timeout=timeout, recursion="1")
        aliases: list[Mapping[str, str]] = found or []
        return sorted(alias["name"] for alias in aliases)

    def remotes(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the remotes that the command knows, by name; the engine isn't asked."""
        return remotes(self._command)

    def launch(self, name: str, image: str, flags: Sequence[str], *, timeout: float) -> str:
        """Make and start an instance.

        Returns:
            "", or the sentence with which it failed; an instance may have been made all the same.

        Raises:
            EngineUnavailable: The command could not be started; the engine was asked nothing.
            TimeoutError: The deadline passed; the engine goes on.
        """
        args = ["--project", self.endpoint.project, "launch", "--quiet", *flags, "--", image, self._at(name)]
        result = self._run(args, timeout=timeout)
        return said(result.stderr) if result.status else ""

    def delete(self, name: str, *, timeout: float) -> None:
        """Delete an instance, running or not; an absent one is a success.

        Raises:
            Busy, DeleteFailed, EngineUnavailable: As a provider's delete.
        """
        what = f"delete machine {name!r}"
        try:
            result = self._run([*self._delete_args(name)], timeout=timeout)
        except TimeoutError as exc:
            raise DeleteFailed(
                f"cannot {what} within {timeout:.3g} s; the engine may go on",
                backend=self.backend,
                machine=name,
                retryable=True,
            ) from exc
        text = said(result.stderr)
        if result.status != 0 and means(text)[0] is not Means.ABSENT:
            raise self._error(text, Doing.DELETE, what, machine=name)

    def execute(
        self,
        name: str,
        argv: Sequence[str],
        flags: Sequence[str] = (),
        *,
        timeout: float,
        input: bytes | None = None,
    ) -> tuple[CommandResult, str]:
        """Run a command in an instance; it ends with the client, as at the deadline.

        Returns:
            What the command did, and "" or the sentence with which the engine failed to run it.

        Raises:
            EngineUnavailable: The client could not be started.
            TimeoutError: The deadline passed.
        """
        args = ["--project", self.endpoint.project, "exec", self._at(name), "--mode=non-interactive"]
        ends = time.monotonic() + timeout
        result = self._run([*args, *flags, "--", *argv], timeout=timeout, input=input)
        return result, self._failure(name, result, ends)

    def delete_argv(self, name: str) -> Sequence[str]:
        """Return the command that deletes an instance, in whatever shell it is run."""
        places = self.endpoint.places
        prefix = self.endpoint.engine.prefix
        setting = [f"{prefix}_{place.upper()}={value}" for place, value in places.items()]
        return [*(["env", *setting] if setting else []), self.program, *self._delete_args(name)]

    def _run(self, args: Sequence[str], *, timeout: float, input: bytes | None = None) -> CommandResult:
        if not self._confirmed:
            self._confirm()
        return self._command.run(args, timeout=timeout, input=input)

    def _confirm(self) -> None:
        """Check that the remote still is the endpoint's engine; another one's listings prove nothing."""
        remote = self.endpoint.remote
        address = self.remotes().get(remote, {}).get("Addr")
        if address != self.endpoint.address:
            raise EngineUnavailable(
                f"cannot use remote {remote!r}: it was {self.endpoint.address}, and now it is {address}",
                backend=self.backend,
            )
        self._confirmed = True

    def _failure(self, name: str, result: CommandResult, ends: float) -> str:
        """Return the sentence with which the engine failed to run a command, or "" if it ran.

        The engine and the command in the machine both write to stderr, and their statuses overlap.
        """
        if result.status < 0:
            return f"its client was ended by signal {-result.status}"
        last = result.stderr.strip().rpartition("\n")[2]
        text = said(last) if last.startswith("Error: ") else ""
        if result.status in _NOT_STARTED_STATUSES:
            return text if means(text)[0] is Means.NOT_STARTED else ""
        if result.status != 1 or not text:
            return ""
        if text.startswith("websocket: ") or means(text)[0] is Means.NO_AGENT:
            return text
        # Anybody may say so. In a machine that is known to run, it was the command.
        try:
            machine = self.machine(name, timeout=max(0.0, ends - time.monotonic()))
        except EngineUnavailable:
            return text
        return "" if machine is not None and machine.state is MachineState.RUNNING else text

    def _delete_args(self, name: str) -> Sequence[str]:
        return ["--project", self.endpoint.project, "delete", "--force", "--", self._at(name)]

    def _at(self, name: str) -> str:
        return f"{self.endpoint.remote}:{name}"

    def _error(
        self, text: str, doing: Doing, what: str, *, machine: str = "", retryable: bool = False
    ) -> ProviderError:
        return translate(text, doing, what, backend=self.backend, machine=machine, retryable=retryable)
