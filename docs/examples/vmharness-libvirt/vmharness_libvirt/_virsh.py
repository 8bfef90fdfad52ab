"""The one place where virsh is run; it knows its commands and what it says, but nothing of our values."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from vmharness.command import CommandLine, describe_failure
from vmharness.errors import EngineUnavailable
from vmharness.provider import CommandResult

__all__ = ["Virsh"]

# A UUID, then the name; virsh trims neither, and libvirt refuses a name with a line's end in it.
_LINE: Final = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}) (.+)")
# Domains in one call: its commands are one argument, which Linux limits to 128 KiB.
_AT_ONCE: Final = 1000


class Virsh:
    """Asks one libvirt.

    A domain is always meant by its UUID: where virsh takes a name it takes a number or an option as well.

    Args:
        uri: Which libvirt.
        command: Runs virsh.
    """

    def __init__(self, uri: str, command: CommandLine) -> None:
        self.uri: Final = uri
        self._command = command

    def argv(self, *args: str) -> Sequence[str]:
        """Return the words of a command; nothing is run."""
        return [self._command.program, "--connect", self.uri, *args]

    def run(self, *args: str, timeout: float, input: bytes | None = None) -> CommandResult:
        """Run a command of virsh's and wait for its end.

        Args:
            args: The command and its arguments.
            timeout: Seconds until the deadline.
            input: Bytes for its standard input.

        Raises:
            EngineUnavailable: virsh can't be started; nothing was asked.
            TimeoutError: The deadline passed.
        """
        return self._command.run(
            ["--quiet", "--connect", self.uri, *args], timeout=max(0.0, timeout), input=input
        )

    def ask(self, *args: str, timeout: float) -> str:
        """Run a command that changes nothing, and return what it wrote.

        Raises:
            EngineUnavailable: It failed, or the deadline passed.
        """
        try:
            result = self.run(*args, timeout=timeout)
        except TimeoutError as exc:
            raise self.unavailable(args, str(exc)) from exc
        if result.status:
            raise self.unavailable(args, describe_failure("virsh", args, result))
        return result.stdout

    def domains(self, *, timeout: float) -> Mapping[str, str]:
        """Return the names of all domains, by their UUIDs; raise EngineUnavailable if they aren't known."""
        question = ("list", "--all", "--uuid", "--name")
        found: dict[str, str] = {}
        for line in self.ask(*question, timeout=timeout).splitlines():
            match = _LINE.fullmatch(line)
            if match:
                found[match[1]] = match[2]
            elif line:
                raise self.unavailable(question, f"it said {line!r}, which isn't a UUID and a name")
        return found

    def describe(self, uuids: Sequence[str], *, timeout: float) -> str:
        """Return of each domain its XML and then its state; nothing of those that are gone.

        A batch goes on after a command that failed, and nothing says which did.
        """
        texts: list[str] = []
        for first in range(0, len(uuids), _AT_ONCE):
            batch = "; ".join(f"dumpxml {uuid}; domstate {uuid}" for uuid in uuids[first : first + _AT_ONCE])
            try:
                texts.append(self.run(batch, timeout=timeout).stdout)
            except TimeoutError as exc:
                raise self.unavailable(["dumpxml"], str(exc)) from exc
        return "\n".join(texts)

    def unavailable(self, args: Sequence[str], why: str) -> EngineUnavailable:
        """Return the error that says that a question has no answer."""
        return EngineUnavailable(
            f"cannot ask libvirt at {self.uri} ({args[0]}): {why}; is libvirtd running there?",
            backend="libvirt",
        )
