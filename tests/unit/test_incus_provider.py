"""The verbs over a command line whose engine is a dictionary, and that fails where it is told to."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from vmharness.command import CommandLine
from vmharness.errors import (
    Busy,
    CreateFailed,
    CreateTimeout,
    CreateUnsettled,
    DeleteFailed,
    EngineUnavailable,
    NameTaken,
    ProviderError,
)
from vmharness.provider import CommandResult, Kind, MachineState, Spec
from vmharness_incus._cli import Client
from vmharness_incus._endpoint import Endpoint
from vmharness_incus._provider import IncusProvider as Incus

IN_PROJECT = ["--project", "default"]
LABELS = {"vmharness.token": "t"}
TAKEN = 'Failed creating instance record: This "instances" entry already exists'
CREATING = 'Failed creating instance record: Instance is busy running a "create" operation'
LOST = "websocket: close 1006 (abnormal closure): unexpected EOF"

Fault = str | Exception | Callable[[], None]


class FakeLXC(CommandLine):
    """`lxc`, and the engine behind it.

    Attributes:
        faults: What a subcommand, or running a command, does first, by its name, each used once: fail with
            a sentence, raise, or call a function and go on. With "after launch", it is there all the same.
        failure: With what a command in an instance fails.
        ran: The arguments of each run.
    """

    def __init__(self) -> None:
        super().__init__("lxc", backend="lxd")
        self.now = 0.0
        self.instances: dict[str, dict[str, Any]] = {}
        self.faults: dict[str, list[Fault]] = {}
        self.failure = ""
        self.ran: list[list[str]] = []
        self.server: dict[str, Any] = {
            "environment": {"architectures": ["x86_64", "i686"], "driver": "lxc", "server_version": "5.0.2"},
            "api_extensions": ["cloud_init"],
        }

    def run(self, args: Sequence[str], *, timeout: float, input: bytes | None = None) -> CommandResult:
        self.ran.append([*args])
        args = args[2:] if args[0] == "--project" else args
        try:
            return self.do(args[0], args[1:])
        except Sentence as exc:
            return CommandResult(status=1, stdout="", stderr=f"Error: {exc}\n")

    def do(self, verb: str, args: Sequence[str]) -> CommandResult:
        self.fail(verb)
        if verb == "query":
            return self.answer(json.dumps(self.query(args[-1])))
        if verb == "remote":
            return self.answer(json.dumps({name: {"Addr": ""} for name in ("local", "images", "ubuntu")}))
        if verb == "launch":
            pairs = [arg.removeprefix("--config=") for arg in args if arg.startswith("--config=")]
            self.add(args[-1].removeprefix("local:"), dict(pair.split("=", 1) for pair in pairs))
            self.fail("after launch")
            return self.answer("")
        assert verb == "delete"
        if self.instances.pop(args[-1].removeprefix("local:"), None) is None:
            raise Sentence("Instance not found")
        return self.answer("")

    def query(self, target: str) -> Any:
        url = urlsplit(target.removeprefix("local:"))
        assert parse_qs(url.query)["project"] == ["default"]
        path = url.path.removeprefix("/1.0")
        if path == "/instances":
            return [*self.instances.values()]
        if path == "/images/aliases":
            return [{"name": "tiny"}, {"name": "big"}]
        if path == "":
            return self.server
        if path == "/operations/1/wait":
            return {"status_code": 400 if self.failure else 200, "err": self.failure}
        name, _, verb = path.removeprefix("/instances/").partition("/")
        if name not in self.instances:
            raise Sentence("Instance not found")
        if verb == "exec":
            self.fail("exec")
            return {"id": "1"}
        return self.instances[name]

    def add(self, name: str, config: dict[str, str], status: str = "Running") -> None:
        """Put an instance there."""
        self.instances[name] = {
            "name": name,
            "status": status,
            "created_at": "2026-11-22T21:05:28.319550711Z",
            "config": {"image.description": "tiny", "volatile.uuid": "1", **config},
        }

    def fail(self, verb: str) -> None:
        if self.faults.get(verb):
            fault = self.faults[verb].pop(0)
            if isinstance(fault, str):
                raise Sentence(fault)
            if isinstance(fault, Exception):
                raise fault
            fault()

    def answer(self, stdout: str) -> CommandResult:
        return CommandResult(status=0, stdout=stdout, stderr="")

    def runs(self, verb: str) -> list[list[str]]:
        return [args for args in self.ran if verb in (args[0], args[2:3] and args[2])]


class Sentence(Exception):
    """What the command says as it fails."""


@pytest.fixture
def lxc() -> FakeLXC:
    return FakeLXC()


@pytest.fixture
def provider(lxc: FakeLXC) -> Incus:
    def sleep(seconds: float) -> None:
        lxc.now += seconds

    client = Client(lxc, Endpoint.parse("lxd:local/default"))
    return Incus(client, clock=lambda: lxc.now, sleep=sleep)


def spec(**changes: Any) -> Spec:
    return replace(Spec(name="vm-1", image="tiny", labels=LABELS), **changes)


def test_machine_is_made_in_one_call_with_its_labels(provider: Incus, lxc: FakeLXC) -> None:
    info = provider.create(spec(), timeout=9)

    assert (info.name, info.state, info.labels) == ("vm-1", MachineState.RUNNING, LABELS)
    [launch] = lxc.runs("launch")
    assert launch[2:] == [
        "launch",
        "--quiet",
        "--config=user.vmharness.token=t",
        "--",
        "local:tiny",
        "local:vm-1",
    ]
    assert launch[:2] == IN_PROJECT
    [run] = [args for args in lxc.ran if args[-1] == "local:/1.0/instances/vm-1/exec?project=default"]
    assert run[:2] == ["query", "--request=POST"]
    assert json.loads(run[2].removeprefix("--data="))["command"] == ["true"]


def test_what_is_asked_for_becomes_flags(provider: Incus, lxc: FakeLXC) -> None:
    lxc.server["environment"]["driver"] = "lxc | qemu"

    sizes = spec(labels={}, cpus=2, memory=2**29, disk=2**33)
    provider.create(replace(sizes, user_data="#!/bin/sh\ntrue", kind=Kind.VM, arch="amd64"), timeout=9)

    [args] = lxc.runs("launch")
    assert args[4:-3] == [
        "--config=limits.cpu=2",
        "--config=limits.memory=536870912",
        "--config=cloud-init.user-data=#!/bin/sh\ntrue",
        "--device=root,size=8589934592",
        "--vm",
    ]


def test_old_engines_have_an_older_key_for_user_data(provider: Incus, lxc: FakeLXC) -> None:
    lxc.server["api_extensions"] = []

    provider.create(spec(user_data="x"), timeout=9)

    assert "--config=user.user-data=x" in lxc.runs("launch")[0]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        *[
            ({"name": name}, "a name is")
            for name in ("", "-f", "a-", "1a", "a.b", "local:a", "a/b", "a" * 64)
        ],
        ({"arch": "arm64"}, "architecture is x86_64, not arm64"),
        ({"kind": Kind.VM}, "can't run virtual machines"),
        ({"labels": {"a=b": "c"}}, "can't be called 'a=b'"),
    ],
)
def test_what_the_engine_cannot_make_is_refused(
    provider: Incus, lxc: FakeLXC, changes: dict[str, Any], why: str
) -> None:
    with pytest.raises(CreateFailed, match=why):
        provider.create(spec(**changes), timeout=9)

    assert lxc.runs("launch") == []


@pytest.mark.parametrize("verb", ["query", "launch"])
def test_engine_that_was_surely_not_asked_has_made_nothing(provider: Incus, lxc: FakeLXC, verb: str) -> None:
    lxc.faults[verb] = [EngineUnavailable("cannot run 'lxc': not found on PATH", backend="lxd")]

    with pytest.raises(CreateFailed, match="not found on PATH"):
        provider.create(spec(), timeout=9)


def test_unknown_image_lists_those_that_there_are(provider: Incus, lxc: FakeLXC) -> None:
    lxc.faults["launch"] = ["Image not found"]

    with pytest.raises(CreateFailed, match=r"Image not found; the engine has big, tiny$"):
        provider.create(spec(image="nosuch"), timeout=9)


@pytest.mark.parametrize("sentence", [TAKEN, CREATING])
def test_taken_name_leaves_the_other_machine_alone(provider: Incus, lxc: FakeLXC, sentence: str) -> None:
    lxc.add("vm-1", {"user.vmharness.token": "another"})
    lxc.faults["launch"] = [sentence]

    with pytest.raises(NameTaken):
        provider.create(spec(), timeout=9)

    assert lxc.runs("delete") == []


def test_create_waits_for_another_one_that_is_under_way(provider: Incus, lxc: FakeLXC) -> None:
    lxc.faults["launch"] = [CREATING, CREATING]

    assert provider.create(spec(), timeout=9).name == "vm-1"


def test_create_waits_for_others_until_its_deadline(provider: Incus, lxc: FakeLXC) -> None:
    lxc.faults["launch"] = [CREATING] * 99

    with pytest.raises(CreateFailed, match="busy") as caught:
        provider.create(spec(), timeout=9)

    assert caught.value.retryable


def test_half_made_instance_of_ours_is_taken_away(provider: Incus, lxc: FakeLXC) -> None:
    lxc.faults["after launch"] = ["Failed to run: forkstart: exit status 1"]

    with pytest.raises(CreateFailed):
        provider.create(spec(), timeout=9)

    assert lxc.instances == {}


def test_instance_that_was_there_is_untouched_whatever_its_labels(provider: Incus, lxc: FakeLXC) -> None:
    provider.create(spec(), timeout=9)
    lxc.faults["launch"] = [TAKEN]

    with pytest.raises(NameTaken):
        provider.create(spec(), timeout=9)

    assert list(lxc.instances) == ["vm-1"]
    assert lxc.runs("delete") == []


def test_half_made_instance_that_stays_is_unsettled(provider: Incus, lxc: FakeLXC) -> None:
    lxc.faults = {"after launch": ["forkstart failed"], "delete": ["Container is protected"]}

    with pytest.raises(CreateUnsettled, match=r"forkstart failed; cannot delete .* protected"):
        provider.create(spec(), timeout=9)


def test_stranger_of_that_name_is_never_taken_away(provider: Incus, lxc: FakeLXC) -> None:
    lxc.add("vm-1", {})
    lxc.faults["launch"] = ["Invalid CPU limit syntax", "Invalid CPU limit syntax"]

    with pytest.raises(CreateFailed):
        provider.create(spec(), timeout=9)
    with pytest.raises(CreateUnsettled, match="not known whose"):
        provider.create(spec(labels={}), timeout=9)

    assert "vm-1" in lxc.instances


def test_lost_connection_settles_nothing(provider: Incus, lxc: FakeLXC) -> None:
    lxc.faults["launch"] = [LOST]

    with pytest.raises(CreateUnsettled):
        provider.create(spec(), timeout=9)


def test_failure_that_cannot_be_looked_after_settles_nothing(provider: Incus, lxc: FakeLXC) -> None:
    def down() -> None:
        lxc.faults["query"] = ["dial unix /s: connect: connection refused"] * 100
        raise Sentence("Failed to run: forkstart: exit status 1")

    lxc.faults["launch"] = [down]

    with pytest.raises(CreateUnsettled, match="is not known"):
        provider.create(spec(), timeout=9)


def test_failure_is_looked_after_again_when_the_engine_errs_once(provider: Incus, lxc: FakeLXC) -> None:
    def errs() -> None:
        lxc.faults["query"] = ["Invalid PID '0'"]
        raise Sentence("Failed to run: forkstart: exit status 1")

    lxc.faults["after launch"] = [errs]

    with pytest.raises(CreateFailed, match="forkstart"):
        provider.create(spec(), timeout=9)

    assert lxc.instances == {}


def test_deadline_in_a_launch_settles_nothing(provider: Incus, lxc: FakeLXC) -> None:
    lxc.faults["after launch"] = [TimeoutError("no end after 9 s")]

    with pytest.raises(CreateTimeout, match="may still appear"):
        provider.create(spec(), timeout=9)

    assert lxc.runs("delete") == []


def test_create_waits_until_commands_run(provider: Incus, lxc: FakeLXC) -> None:
    lxc.faults["exec"] = ["VM agent isn't currently running"] * 3

    provider.create(spec(), timeout=9)

    assert lxc.now > 0


def test_machine_without_true_can_be_used(provider: Incus, lxc: FakeLXC) -> None:
    lxc.failure = "Command not found"

    provider.create(spec(), timeout=9)

    assert lxc.now == 0


def test_machine_that_never_runs_commands_is_late(provider: Incus, lxc: FakeLXC) -> None:
    lxc.faults["exec"] = ["VM agent isn't currently running"] * 99

    with pytest.raises(CreateTimeout, match="VM agent isn't"):
        provider.create(spec(), timeout=9)


def test_machine_that_ends_by_itself_is_taken_away(provider: Incus, lxc: FakeLXC) -> None:
    def end() -> None:
        lxc.instances["vm-1"]["status"] = "Stopped"
        raise Sentence("Instance is not running")

    lxc.faults["exec"] = [end]

    with pytest.raises(CreateFailed, match="ended by itself"):
        provider.create(spec(), timeout=9)

    assert lxc.instances == {}


@pytest.mark.parametrize("busy", ['Instance is busy running a "create" operation', "Instance is running"])
def test_delete_waits_while_the_engine_is_busy(provider: Incus, lxc: FakeLXC, busy: str) -> None:
    lxc.add("vm-1", {})
    lxc.faults["delete"] = [busy, busy]

    provider.delete("vm-1", timeout=9)

    assert lxc.instances == {}


def test_delete_that_stays_refused_is_busy(provider: Incus, lxc: FakeLXC) -> None:
    lxc.add("vm-1", {})
    lxc.faults["delete"] = ['Instance is busy running a "create" operation'] * 99

    with pytest.raises(Busy):
        provider.delete("vm-1", timeout=9)


@pytest.mark.parametrize("fault", ["Container is protected", LOST, TimeoutError("no end after 9 s")])
def test_delete_that_fails_says_so_and_is_not_asked_for_again(
    provider: Incus, lxc: FakeLXC, fault: Fault
) -> None:
    lxc.add("vm-1", {})
    lxc.faults["delete"] = [fault]

    with pytest.raises(DeleteFailed):
        provider.delete("vm-1", timeout=9)

    assert [args[2] for args in lxc.ran].count("delete") == 1


def test_delete_that_took_all_its_time_asks_nothing_more(provider: Incus, lxc: FakeLXC) -> None:
    def end() -> None:
        lxc.now += 9
        del lxc.instances["vm-1"]
        raise TimeoutError("no end after 9 s")

    lxc.add("vm-1", {})
    lxc.faults["delete"] = [end]

    with pytest.raises(DeleteFailed):
        provider.delete("vm-1", timeout=9)


@pytest.mark.parametrize("sentence", ["Failed deleting volume: no such file", "Operation not found", LOST])
def test_delete_that_fails_though_the_machine_is_gone_is_a_success(
    provider: Incus, lxc: FakeLXC, sentence: str
) -> None:
    def end() -> None:
        del lxc.instances["vm-1"]
        raise Sentence(sentence)

    lxc.add("vm-1", {})
    lxc.faults["delete"] = [end]

    provider.delete("vm-1", timeout=9)


def test_delete_that_failed_is_no_success_because_nobody_answered(provider: Incus, lxc: FakeLXC) -> None:
    lxc.add("vm-1", {})
    lxc.faults["delete"] = ["Container is protected"]
    lxc.faults["query"] = ["dial unix /run/lxd: connect: connection refused"]

    with pytest.raises(DeleteFailed, match="protected"):
        provider.delete("vm-1", timeout=9)


@pytest.mark.parametrize("name", ["", "-f", "--all", "a/b", "local:vm-1", "vm-1 ", "vm_1", "*"])
def test_name_that_no_machine_can_have_is_absent_unasked(provider: Incus, lxc: FakeLXC, name: str) -> None:
    assert provider.exists(name) is False
    assert provider.inspect(name) is None
    provider.delete(name, timeout=9)
    with pytest.raises(ProviderError, match="no such machine"):
        provider.run(name, ["true"], timeout=9)

    assert lxc.ran == []


@pytest.mark.parametrize("fault", ["unexpected end of JSON input", TimeoutError("no end after 30 s")])
def test_incomplete_listing_is_none(provider: Incus, lxc: FakeLXC, fault: Fault) -> None:
    lxc.faults["query"] = [fault]

    with pytest.raises(EngineUnavailable):
        provider.list()


def test_listing_of_another_form_is_none(provider: Incus, lxc: FakeLXC) -> None:
    lxc.add("vm-1", {})
    del lxc.instances["vm-1"]["status"]

    with pytest.raises(EngineUnavailable, match="no complete answer"):
        provider.list()
