"""Commands in an instance: users by name, folders that aren't there, whose failure it was; what is asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from vmharness.command import CommandLine
from vmharness.errors import EngineUnavailable, ProviderError
from vmharness.provider import CommandResult
from vmharness_incus._cli import Client
from vmharness_incus._endpoint import Endpoint
from vmharness_incus._provider import IncusProvider
from vmharness_incus._users import exec_flags

USERS = "root:x:0:0:root:/root:/bin/sh\ntester:x:1000:100:tester:/home/tester:/bin/sh\nbad\n"
EXEC = ["--project", "default", "exec", "local:vm-1", "--mode=non-interactive"]
TESTER = ["--user=1000", "--group=100", "--env=HOME=/home/tester", "--env=USER=tester"]

Result = Callable[[Sequence[str]], CommandResult]


def ended(status: int = 0, stdout: str = "", stderr: str = "") -> CommandResult:
    return CommandResult(status=status, stdout=stdout, stderr=stderr)


def machine(status: str) -> CommandResult:
    """Make the engine's answer about the machine."""
    entry: dict[str, Any] = {
        "name": "vm-1",
        "status": status,
        "created_at": "2026-11-22T21:05:28Z",
        "config": {},
    }
    return ended(stdout=json.dumps(entry))


class Recorder(CommandLine):
    """Remembers what it ran; a function says how each command in the machine ends."""

    def __init__(self, result: Result, backend: str = "lxd") -> None:
        super().__init__("lxc", backend=backend)
        self.ran: list[tuple[list[str], float, bytes | None]] = []
        self.result = result
        self.machine = machine("Running")

    def run(self, args: Sequence[str], *, timeout: float, input: bytes | None = None) -> CommandResult:
        self.ran.append(([*args], timeout, input))
        argv = args[args.index("--") + 1 :] if "--" in args else args
        if argv[0].startswith("local:/1.0/instances/"):
            return self.machine
        return ended(stdout=USERS) if argv == ["cat", "/etc/passwd"] else self.result(argv)


def provider_of(result: Result) -> tuple[IncusProvider, Recorder]:
    command = Recorder(result)
    client = Client(command, Endpoint.parse("lxd:local/default"))
    return IncusProvider(client, clock=lambda: 0.0), command


def test_arguments_reach_the_program_unchanged() -> None:
    provider, command = provider_of(lambda argv: ended(3, "out", "err"))

    result = provider.run("vm-1", ["--help", "a b", ""], timeout=9, input=b"in")

    assert result == ended(3, "out", "err")
    assert command.ran == [([*EXEC, "--", "--help", "a b", ""], 9, b"in")]


def test_user_is_looked_up_in_the_machine() -> None:
    provider, command = provider_of(lambda argv: ended())

    provider.run("vm-1", ["true"], timeout=9, user="tester")

    assert [args for args, _, _ in command.ran] == [
        [*EXEC, "--", "cat", "/etc/passwd"],
        [*EXEC, *TESTER, "--cwd=/home/tester", "--", "true"],
    ]


def test_folder_is_looked_for_as_the_user() -> None:
    provider, command = provider_of(lambda argv: ended())

    provider.run("vm-1", ["true"], timeout=9, user="tester", cwd="/tmp")

    assert [args for args, _, _ in command.ran][1:] == [
        [*EXEC, *TESTER, "--cwd=/tmp", "--", "test", "-d", "/tmp"],
        [*EXEC, *TESTER, "--cwd=/tmp", "--", "true"],
    ]


def test_missing_folder_is_no_reason_to_run_elsewhere() -> None:
    provider, command = provider_of(lambda argv: ended(1 if argv[0] == "test" else 0))

    with pytest.raises(ProviderError, match="no folder '/nosuch'"):
        provider.run("vm-1", ["true"], timeout=9, cwd="/nosuch")

    assert len(command.ran) == 1


def test_unknown_user_is_refused() -> None:
    provider, _ = provider_of(lambda argv: ended())

    with pytest.raises(ProviderError, match="no user 'nobody'"):
        provider.run("vm-1", ["true"], timeout=9, user="nobody")


@pytest.mark.parametrize(
    ("user", "cwd", "flags"),
    [
        ("tester", "", [*TESTER, "--cwd=/home/tester"]),
        ("1000", "/tmp", [*TESTER, "--cwd=/tmp"]),
        ("root", "", ["--user=0", "--group=0", "--env=HOME=/root", "--env=USER=root", "--cwd=/root"]),
        ("4711", "", ["--user=4711"]),
        ("4711", "/tmp", ["--user=4711", "--cwd=/tmp"]),
    ],
)
def test_user_may_be_a_name_or_a_number(user: str, cwd: str, flags: list[str]) -> None:
    assert exec_flags(user, USERS, cwd=cwd) == flags


@pytest.mark.parametrize("user", ["nobody", "-1", "", "٣"])
def test_user_that_the_machine_lacks_is_told(user: str) -> None:
    with pytest.raises(LookupError):
        exec_flags(user, USERS)


ABSENT = ended(1, stderr="Error: Instance not found")
DOWN = ended(1, stderr='Error: Get "http://s/1.0": dial unix /s: connect: connection refused')
OFFLINE = ended(1, stderr="Error: Missing event connection with target cluster member")


@pytest.mark.parametrize(
    ("status", "stderr", "there", "kind"),
    [
        (1, "Error: Instance not found\n", ABSENT, ProviderError),
        (1, "Error: Instance is not running\n", machine("Stopped"), ProviderError),
        (1, "Error: VM agent isn't currently running\n", machine("Running"), ProviderError),
        (1, "Error: a sentence of next year's\n", machine("Stopped"), ProviderError),
        (1, DOWN.stderr, DOWN, EngineUnavailable),
        (1, OFFLINE.stderr, OFFLINE, EngineUnavailable),
        (127, "Error: Command not found\n", machine("Running"), ProviderError),
        (126, "Error: Command not executable\n", machine("Running"), ProviderError),
        (1, "output\nError: websocket: close 1006 (abnormal closure)\n", machine("Running"), ProviderError),
        (-9, "", machine("Running"), ProviderError),
    ],
)
def test_failure_of_the_engine_is_an_error(
    status: int, stderr: str, there: CommandResult, kind: type[ProviderError]
) -> None:
    provider, command = provider_of(lambda argv: ended(status, stderr=stderr))
    command.machine = there

    with pytest.raises(kind) as caught:
        provider.run("vm-1", ["true"], timeout=9)

    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("status", "stderr"),
    [
        (1, "Error: Instance not found\n"),
        (1, "Error: unexpected EOF\n"),
        (1, "sh: nosuch: not found\n"),
        (127, "sh: nosuch: not found\n"),
        (127, "Error: no such plugin\n"),
        (2, "Error: Instance not found\n"),
        (137, ""),
    ],
)
def test_failure_of_the_command_is_its_own(status: int, stderr: str) -> None:
    """Whatever it says: the machine runs, so it was the command that said it."""
    provider, _ = provider_of(lambda argv: ended(status, stderr=stderr))

    assert provider.run("vm-1", ["true"], timeout=9) == ended(status, stderr=stderr)


def test_deadline_is_told() -> None:
    def late(argv: Sequence[str]) -> CommandResult:
        raise TimeoutError("no end after 9 s")

    provider, _ = provider_of(late)

    with pytest.raises(TimeoutError, match=r"cannot run \['sleep'\] in machine 'vm-1' within 9 s"):
        provider.run("vm-1", ["sleep"], timeout=9)


@pytest.mark.parametrize(
    ("clustered", "stands_in", "text"),
    [
        (False, False, "LXD 5.0.2"),
        (True, False, "LXD 5.0.2, a cluster"),
        (False, True, "LXD 5.0.2 (in place of incus, which isn't here)"),
    ],
)
def test_engine_describes_itself(clustered: bool, stands_in: bool, text: str) -> None:
    server = {"environment": {"server_version": "5.0.2", "server_clustered": clustered}}
    command = Recorder(lambda argv: ended(stdout=json.dumps(server)), backend="incus" if stands_in else "lxd")
    client = Client(command, Endpoint.parse("lxd:local/default"))

    assert IncusProvider(client, stands_in=stands_in).describe() == text


def test_images_are_the_aliases() -> None:
    provider, command = provider_of(lambda argv: ended(stdout='[{"name": "tiny"}, {"name": "big"}]'))

    assert provider.images() == ["big", "tiny"]
    assert [args for args, _, _ in command.ran] == [
        ["query", "--", "local:/1.0/images/aliases?recursion=1&project=default"]
    ]


def test_far_remote_must_be_the_engine_that_it_was() -> None:
    def result(argv: Sequence[str]) -> CommandResult:
        return ended(
            stdout="[]" if argv[0].startswith("far:") else json.dumps({"far": {"Addr": "https://b:1"}})
        )

    def provider_at(address: str) -> IncusProvider:
        endpoint = Endpoint.parse(f"lxd:far/default?address={address}")
        return IncusProvider(Client(Recorder(result), endpoint))

    assert provider_at("https://b:1").list() == []
    with pytest.raises(EngineUnavailable, match="it was https://a:1, and now it is https://b:1"):
        provider_at("https://a:1").list()
