"""What a machine's QEMU guest agent is asked, through libvirt; it knows not how machines are made."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from vmharness.command import describe_failure
from vmharness.errors import NotSupported, ProviderError
from vmharness.provider import CommandResult
from vmharness_libvirt._virsh import Virsh

__all__ = ["Agent"]

_PAUSE_S: Final = 0.1
# The longest input, in bytes: it is part of an argument, which Linux limits to 128 KiB.
_LONGEST_INPUT: Final = 64 * 1024


class Agent:
    """The agent of one machine.

    Args:
        virsh: Asks libvirt.
        uuid: Which domain.
        name: Name of the machine, for errors.
        clock: Returns seconds that never go back.
        sleep: Waits for some seconds.
    """

    def __init__(
        self,
        virsh: Virsh,
        uuid: str,
        name: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._virsh = virsh
        self._uuid = uuid
        self._name = name
        self._clock = clock
        self._sleep = sleep

    def answers(self, *, timeout: float) -> bool:
        """Say whether it answers; it doesn't until the machine has come up, and when that is gone."""
        try:
            return self._call("guest-ping", {}, timeout).status == 0
        except TimeoutError:
            return False

    def run(
        self, argv: Sequence[str], *, timeout: float, input: bytes | None = None, cwd: str = ""
    ) -> CommandResult:
        """Run a command and wait for its end; as `RunsCommands.run`."""
        ends = self._clock() + timeout
        if input is not None and len(input) > _LONGEST_INPUT:
            raise NotSupported(
                f"cannot run {argv[0]!r} in {self._name!r}: its input has {len(input)} bytes, and libvirt "
                f"takes {_LONGEST_INPUT}; copy a file instead",
                backend="libvirt",
                machine=self._name,
            )
        if cwd:
            argv = ["sh", "-c", 'cd "$0" && exec "$@"', cwd, *argv]
        given = {
            "path": argv[0],
            "arg": list(argv[1:]),
            "input-data": base64.b64encode(input or b"").decode(),
            "capture-output": True,
        }
        started = self._ask("guest-exec", given, ends - self._clock())
        while True:
            state = self._ask("guest-exec-status", {"pid": started["pid"]}, ends - self._clock())
            if state["exited"]:
                return _result(state)
            if self._clock() >= ends:
                raise TimeoutError(f"cannot run {argv[0]!r} in {self._name!r} within {timeout:.3g} s")
            self._sleep(_PAUSE_S)

    def _ask(self, command: str, arguments: dict[str, Any], timeout: float) -> dict[str, Any]:
        result = self._call(command, arguments, timeout)
        if result.status:
            raise ProviderError(
                f"cannot run a command in {self._name!r}: {describe_failure('virsh', [command], result)}",
                backend="libvirt",
                machine=self._name,
            )
        answer: dict[str, Any] = json.loads(result.stdout)["return"]
        return answer

    def _call(self, command: str, arguments: dict[str, Any], timeout: float) -> CommandResult:
        question = json.dumps({"execute": command, "arguments": arguments})
        return self._virsh.run("qemu-agent-command", self._uuid, question, timeout=timeout)


def _result(state: dict[str, Any]) -> CommandResult:
    return CommandResult(
        status=state["exitcode"] if "exitcode" in state else 128 + state["signal"],
        stdout=base64.b64decode(state.get("out-data", "")).decode("utf-8", "replace"),
        stderr=base64.b64decode(state.get("err-data", "")).decode("utf-8", "replace"),
    )
