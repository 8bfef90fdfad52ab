"""The thin client of `incus` and `lxc`: the one place that knows their arguments and their JSON.

It waits for nothing and remembers nothing. Every machine is named with its remote, every command with its
project, so no default of the command's configuration matters. A machine's name must have been checked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from vmharness.command import CommandLine
from vmharness.errors import DeleteFailed, EngineUnavailable, ProviderError
from vmharness.provider import CommandResult, MachineInfo
from vmharness_incus._endpoint import Endpoint, remotes
from vmharness_incus._errors import Doing, Means, means, said, translate
from vmharness_incus._machine import to_machine

__all__ = ["NOT_AS_EXPECTED", "Client"]

# What reading an answer raises that has another form than the engine's documentation says.
NOT_AS_EXPECTED: Final = (AttributeError, KeyError, TypeError, ValueError)


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
            path: Below /1.0, as `/instances`.
            what: What for, in words.
            timeout: Seconds until the deadline.
            options: Of the query, as `recursion="1"`.

        Raises:
            EngineUnavailable: It gave no complete answer.
        """
        try:
            answer, text = self.query(path, timeout=timeout, **options)
        except TimeoutError as exc:
            text = f"no answer within {timeout:.3g} s"
            raise self._error(text, Doing.ASK, what, retryable=True) from exc
        if means(text)[0] is Means.ABSENT:
            return None
        if text:
            raise self._error(text, Doing.ASK, what)
        try:
            return json.loads(answer)
        except ValueError as exc:
            raise self._error(f"no complete answer: {exc}", Doing.ASK, what, retryable=True) from exc

    def query(
        self, path: str, *, timeout: float, method: str = "GET", data: str = "", **options: str
    ) -> tuple[str, str]:
        """Send the engine a request.

        Args:
            path: Below /1.0, as `/instances`.
            timeout: Seconds until the deadline.
            method: The request's method.
            data: Its body, in JSON.
            options: Of the query, as `recursion="1"`.

        Returns:
            What it answered, and "" or the sentence with which it refused.

        Raises:
            EngineUnavailable: The client could not be started.
            TimeoutError: The deadline passed.
        """
        query = urlencode({**options, "project": self.endpoint.project})
        flags = [f"--request={method}"] if method != "GET" else []
        flags += [f"--data={data}"] if data else []
        args = ["query", *flags, "--", f"{self.endpoint.remote}:/1.0{path}?{query}"]
        result = self._run(args, timeout=timeout)
        return result.stdout, _refusal(result)

    def machines(self, *, timeout: float) -> Sequence[MachineInfo]:
        """Return all machines, without their addresses, by one request that takes 15 ms."""
        what = "list the machines"
        found = self.ask("/instances", what, timeout=timeout, recursion="1")
        try:
            return [to_machine(entry) for entry in found]
        except NOT_AS_EXPECTED as exc:
            raise self._error(f"no complete answer: {exc!r}", Doing.ASK, what, retryable=True) from exc

    def machine(self, name: str, *, timeout: float) -> MachineInfo | None:
        """Return one machine with its address, or None if it is absent."""
        what = f"look at machine {name!r}"
        found = self.ask(f"/instances/{name}", what, timeout=timeout, recursion="1")
        try:
            return None if found is None else to_machine(found)
        except NOT_AS_EXPECTED as exc:
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

    def copy(self, source: str, name: str, flags: Sequence[str], *, timeout: float) -> str:
        """Copy an instance, without its snapshots and what runs in it; return "", or why it failed."""
        flags = ["--quiet", "--instance-only", "--stateless", *flags]
        args = ["--project", self.endpoint.project, "copy", *flags, "--", self._at(source), self._at(name)]
        return _refusal(self._run(args, timeout=timeout))

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

    def power(self, verb: str, name: str, *, timeout: float) -> str:
        """Start or stop an instance, without waiting for what runs in it; return "", or why it failed."""
        flags = ["--force"] if verb == "stop" else []
        args = ["--project", self.endpoint.project, verb, *flags, "--", self._at(name)]
        return _refusal(self._run(args, timeout=timeout))

    def rename(self, name: str, new: str, *, timeout: float) -> str:
        """Give an instance that is stopped another name; return "", or why it failed."""
        args = ["--project", self.endpoint.project, "rename", "--", self._at(name), new]
        return _refusal(self._run(args, timeout=timeout))

    def push(self, name: str, path: str, data: bytes, owner: Mapping[str, Any], *, timeout: float) -> str:
        """Put a file into an instance, for its owner's eyes only.

        Args:
            name: Name of the instance.
            path: Where to.
            data: Its content.
            owner: The numbers of its `user` and `group`; root's where there is none.
            timeout: Seconds until the deadline.

        Returns:
            "", or the sentence with which it failed.
        """
        flags = [f"--uid={owner.get('user', 0)}", f"--gid={owner.get('group', 0)}", "--mode=0600"]
        result = self._file(["push", *flags, "--", "-", self._at(name) + path], timeout=timeout, input=data)
        return _refusal(result)

    def pull(self, name: str, path: str, *, timeout: float) -> tuple[str, str]:
        """Return a file's content, and "" or the sentence with which that failed."""
        result = self._file(["pull", "--", self._at(name) + path, "-"], timeout=timeout)
        return result.stdout, _refusal(result)

    def remove(self, name: str, path: str, *, timeout: float) -> str:
        """Remove a file from an instance; return "", or the sentence with which that failed."""
        return _refusal(self._file(["delete", "--", self._at(name) + path], timeout=timeout))

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

    def _file(self, args: Sequence[str], *, timeout: float, input: bytes | None = None) -> CommandResult:
        return self._run(["--project", self.endpoint.project, "file", *args], timeout=timeout, input=input)

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

    def _delete_args(self, name: str) -> Sequence[str]:
        return ["--project", self.endpoint.project, "delete", "--force", "--", self._at(name)]

    def _at(self, name: str) -> str:
        return f"{self.endpoint.remote}:{name}"

    def _error(
        self, text: str, doing: Doing, what: str, *, machine: str = "", retryable: bool = False
    ) -> ProviderError:
        return translate(text, doing, what, backend=self.backend, machine=machine, retryable=retryable)


def _refusal(result: CommandResult) -> str:
    """Return the sentence with which a command failed, or ""."""
    if result.status < 0:
        return f"its client was ended by signal {-result.status}"
    return said(result.stderr) if result.status else ""
