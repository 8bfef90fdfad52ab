"""Running one command in an instance, and having all that it wrote; it knows no other verb.

The `exec` of `incus` and `lxc` loses output in some of a hundred calls, eight at a time, with an input or
without, and sometimes never ends: there the command's end, its output and the input travel apart. So the
engine is asked to record the output, which is read when the command has ended; an input goes there as a file.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from vmharness.errors import ProviderError
from vmharness.provider import CommandResult
from vmharness_incus._cli import NOT_AS_EXPECTED, Client
from vmharness_incus._errors import Doing, Means, means, said, translate
from vmharness_incus._users import identity

__all__ = ["Execution"]

# It becomes the command, or ends with the status that tells the engine that there is none. Before, it puts a
# mark on both streams: for the client takes a record that begins with JSON for an answer of the engine's, and
# the engine takes a command that ended with 127 for one that it didn't find.
_SCRIPT: Final = """\
mark=$1 cwd=$2 input=$3
shift 3
if [ -n "$cwd" ]; then
    cd -- "$cwd" >/dev/null 2>&1 || { echo "it has no folder '$cwd' that this user may enter" >&2; exit 1; }
fi
if [ -n "$input" ]; then
    exec <"$input" || exit 1
    rm -f -- "$input" 2>/dev/null
fi
case $1 in
*/*) [ -e "$1" ] || exit 127; [ -x "$1" ] || exit 126 ;;
*) command -v -- "$1" >/dev/null || exit 127 ;;
esac
printf %s "$mark" && printf %s "$mark" >&2
exec "$@"
"""
# The engine can't end a recorded command. It, and what it started, are found by a variable of theirs; more
# than once, for they may start others meanwhile.
_VARIABLE: Final = "RUN_BY_VMHARNESS"
_STOP: Final = """\
for round in 1 2 3; do
    for found in $(grep -ls -- "$0" /proc/[0-9]*/environ); do
        found=${found%/environ}
        kill -9 "${found#/proc/}"
    done
done
"""
# To clean up after the deadline: the engine's answer takes 0.02 s.
_TIDY_S: Final = 5.0
# The system takes 128 KiB as one argument, here with `--data=` before and a zero behind.
_LONGEST: Final = 128 * 1024 - 8
# How much of a command a message has.
_SHOWN: Final = 500


class Execution:
    """One command in one instance.

    Args:
        client: Asks the engine.
        name: Name of the instance; it must have been checked.
        argv: The program and its arguments.
        ends: When the clock reaches the deadline.
        clock: Returns seconds that never go back.
    """

    def __init__(
        self, client: Client, name: str, argv: Sequence[str], *, ends: float, clock: Callable[[], float]
    ) -> None:
        self._client = client
        self._name = name
        self._argv = [*argv]
        self._ends = ends
        self._clock = clock
        shown = repr(self._argv)
        self.what: Final = (
            f"run {shown if len(shown) <= _SHOWN else shown[:_SHOWN] + '…'} in machine {name!r}"
        )

    def run(self, *, user: str = "", cwd: str = "", input: bytes | None = None) -> CommandResult:
        """Run the command, as `RunsCommands.run` says; at the deadline, end it.

        Raises:
            ProviderError: It was not started, or its outcome isn't known.
            TimeoutError: The deadline passed.
        """
        token = secrets.token_hex(8)
        mark = f":{token}:"
        file = f"/tmp/.vmharness-{token}" if input else ""  # noqa: S108 - in the machine
        try:
            who = self._identity(user)
            if input:
                self._refuse(self._client.push(self._name, file, input, who, timeout=self._left()))
            command = ["sh", "-c", _SCRIPT, "sh", mark, cwd, file, *self._argv]
            environment = {**who.get("environment", {}), _VARIABLE: token}
            body = {**who, "command": command, "environment": environment, "record-output": True}
            return self._recorded(self._ended(self._start(body)), mark)
        except _Refused as exc:
            self._tidy("", file)
            raise self.failed(str(exc)) from exc
        except BaseException:
            self._tidy(token, file)
            raise

    def trial(self) -> str:
        """Return "" if the instance runs commands, else what the engine says; their end is of no account.

        Raises:
            EngineUnavailable: The client could not be started.
            TimeoutError: The deadline passed.
        """
        try:
            return str(self._ended(self._start({"command": self._argv}))["err"])
        except _Refused as exc:
            return str(exc)

    def failed(self, text: str) -> ProviderError:
        """Return the error that says that the command was not run, and why."""
        return translate(text, Doing.RUN, self.what, backend=self._client.backend, machine=self._name)

    def _identity(self, user: str) -> Mapping[str, Any]:
        if not user:
            return {}
        passwd, text = self._client.pull(self._name, "/etc/passwd", timeout=self._left())
        if means(text)[0] is not Means.NO_FILE:
            self._refuse(text)
        try:
            return identity(user, passwd)
        except LookupError as exc:
            raise _Refused(str(exc)) from exc

    def _start(self, body: Mapping[str, Any]) -> str:
        """Start a command; return the operation's ID."""
        data = json.dumps({**body, "wait-for-websocket": False, "interactive": False}, ensure_ascii=False)
        if len(data.encode("utf-8", "surrogateescape")) > _LONGEST:
            raise _Refused("its arguments are too long, as 128 KiB is the most; give it an input instead")
        operation = self._query(f"/instances/{self._name}/exec", method="POST", data=data)
        try:
            return str(json.loads(operation)["id"])
        except NOT_AS_EXPECTED as exc:
            raise _Refused(f"no complete answer: {exc!r}") from exc

    def _ended(self, id: str) -> Mapping[str, Any]:
        """Wait for an operation's end and return it; the engine keeps it for 5 s."""
        while True:
            try:
                answer = self._query(f"/operations/{id}/wait")
            except _Refused:
                # Incus gives an operation's own failure in the place of its end.
                answer = self._query(f"/operations/{id}")
            try:
                operation: Mapping[str, Any] = json.loads(answer)
                if operation["status_code"] >= 200:  # below, it isn't over
                    return operation
            except NOT_AS_EXPECTED as exc:
                raise _Refused(f"no complete answer: {exc!r}") from exc

    def _recorded(self, operation: Mapping[str, Any], mark: str) -> CommandResult:
        """Return what the command did, and delete its record."""
        failure = str(operation.get("err", ""))
        try:
            recorded: Mapping[str, Any] = operation["metadata"] or {}
            paths = [str(recorded["output"][stream]).removeprefix("/1.0") for stream in "12"]
            status = int(recorded["return"])
        except NOT_AS_EXPECTED as exc:
            raise _Refused(failure or f"no complete answer: {exc!r}") from exc
        # Before the mark is what its shell had to say of its own.
        _, begun, stdout = self._read(paths[0]).partition(mark)
        before, begun_too, stderr = self._read(paths[1]).partition(mark)
        if not begun or not begun_too:
            raise _Refused(failure or said(before))
        return CommandResult(status=status, stdout=stdout, stderr=stderr)

    def _read(self, path: str) -> str:
        """Return a record, and delete it."""
        path = path.partition("?")[0]
        text, refusal = self._client.query(path, timeout=self._left())
        if refusal != "EOF":  # which is said of an empty one
            self._refuse(refusal)
        try:
            self._client.query(path, method="DELETE", timeout=_TIDY_S)
        except (ProviderError, TimeoutError):
            pass  # it goes with the instance
        return text

    def _tidy(self, token: str, file: str) -> None:
        """End what has the token, and remove the file, if there are any; both may fail."""
        stop = json.dumps({"command": ["sh", "-c", _STOP, token]})
        try:
            if token:
                self._client.query(f"/instances/{self._name}/exec", method="POST", data=stop, timeout=_TIDY_S)
            if file:
                self._client.remove(self._name, file, timeout=_TIDY_S)
        except (ProviderError, TimeoutError):
            pass  # the command may still be running, as was said

    def _query(self, path: str, *, method: str = "GET", data: str = "") -> str:
        answer, text = self._client.query(path, method=method, data=data, timeout=self._left())
        self._refuse(text)
        return answer

    def _refuse(self, text: str) -> None:
        if text:
            raise _Refused(text)

    def _left(self) -> float:
        return max(0.0, self._ends - self._clock())


class _Refused(Exception):
    """What the engine said instead of doing what it was asked for."""
