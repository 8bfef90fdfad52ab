"""The four verbs over orbctl: what is refused, what is waited for, and what is never taken for granted."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from orbstack_memory import ULID, FakeOrbStack, failed, ok, provider_of, record
from vmharness.errors import (
    Busy,
    CreateFailed,
    CreateUnsettled,
    DeleteFailed,
    EngineUnavailable,
    NameTaken,
    ProviderError,
)
from vmharness.provider import (
    AutoChosen,
    Clones,
    CommandResult,
    CopiesFiles,
    Describes,
    Inspects,
    MachineState,
    RecognisesCreate,
    RunsCommands,
    Settles,
    ShowsDelete,
    Spec,
    StartsAndStops,
    TakesLabels,
)
from vmharness_orbstack import OrbStackProvider

# a stopped engine


CALLS: list[tuple[Callable[[OrbStackProvider], object], type[ProviderError]]] = [
    (lambda it: it.create(Spec(name="vm-1"), timeout=60), CreateFailed),
    (lambda it: it.list(), EngineUnavailable),
    (lambda it: it.exists("vm-1"), EngineUnavailable),
    (lambda it: it.delete("vm-1", timeout=60), EngineUnavailable),
    (lambda it: it.describe(), EngineUnavailable),
]


@pytest.mark.parametrize(("call", "expected"), CALLS)
def test_a_stopped_engine_is_never_started(
    call: Callable[[OrbStackProvider], object], expected: type[ProviderError]
) -> None:
    orbstack = FakeOrbStack()
    orbstack.next["status"] = [CommandResult(status=1, stdout="Stopped\n", stderr="")]

    with pytest.raises(expected, match="orbctl start"):
        call(provider_of(orbstack))
    assert orbstack.calls == ["status"]


# list, exists


def test_list_leaves_out_orbstacks_own_machines() -> None:
    machines = provider_of(FakeOrbStack(a="running", docker="running", b="stopped")).list()

    assert [(machine.name, machine.state) for machine in machines] == [
        ("a", MachineState.RUNNING),
        ("b", MachineState.STOPPED),
    ]


def test_exists_in_any_state() -> None:
    provider = provider_of(FakeOrbStack(a="creating"))

    assert provider.exists("a") is True
    assert provider.exists("b") is False


@pytest.mark.parametrize("answer", [failed("[-32098] something that passes"), ok(""), TimeoutError()])
def test_a_failed_listing_is_never_an_empty_one(answer: CommandResult | BaseException) -> None:
    orbstack = FakeOrbStack()
    orbstack.next["list"] = [answer] * 2

    with pytest.raises(EngineUnavailable):
        provider_of(orbstack).list()
    with pytest.raises(EngineUnavailable):
        provider_of(orbstack).exists("a")


# delete


def test_delete_goes_by_name_without_a_question_and_looks_again() -> None:
    orbstack = FakeOrbStack(a="running")

    provider_of(orbstack).delete("a", timeout=60)

    listing = ["status", "list --format json"]
    assert orbstack.calls == [*listing, "delete --force a", *listing]


@pytest.mark.parametrize("name", ["b", "", "--all", ULID, "docker"])
def test_only_a_listed_name_is_given_to_orbctl(name: str) -> None:
    orbstack = FakeOrbStack(a="running", docker="running")

    provider_of(orbstack).delete(name, timeout=60)

    assert not [call for call in orbstack.calls if call.startswith("delete")]
    assert "a" in orbstack.machines


def test_delete_waits_until_the_machine_is_listed_no_more() -> None:
    orbstack = FakeOrbStack(a="running")
    orbstack.next["list"] = [ok(json.dumps([record("a", "deleting")]))] * 4

    provider_of(orbstack).delete("a", timeout=60)

    assert orbstack.calls.count("list --format json") == 5


def test_a_delete_that_did_nothing_is_a_failure() -> None:
    orbstack = FakeOrbStack(a="running")
    orbstack.next["delete"] = [ok()]

    with pytest.raises(DeleteFailed, match="still lists it"):
        provider_of(orbstack).delete("a", timeout=60)


@pytest.mark.parametrize(
    "said", ["cannot transition from creating to deleting", "delete rootfs: EBUSY: Device or resource busy"]
)
def test_a_delete_that_is_refused_for_now_is_tried_again(said: str) -> None:
    orbstack = FakeOrbStack(a="creating")
    orbstack.next["delete"] = [failed(f"[-32098] {said}")] * 3

    provider_of(orbstack).delete("a", timeout=60)

    assert orbstack.machines == {}
    assert orbstack.calls.count("delete --force a") == 4


def test_a_delete_that_is_refused_until_the_deadline_is_busy() -> None:
    orbstack = FakeOrbStack(a="creating")
    orbstack.next["delete"] = [failed("[-32098] cannot transition from creating to deleting")] * 99

    with pytest.raises(Busy):
        provider_of(orbstack).delete("a", timeout=60)


def test_a_delete_that_failed_for_good_is_not_tried_again() -> None:
    orbstack = FakeOrbStack(a="running")
    orbstack.next["delete"] = [failed("[-32098] delete rootfs: unlinkat: read-only file system")] * 2

    with pytest.raises(DeleteFailed, match="restart OrbStack"):
        provider_of(orbstack).delete("a", timeout=60)
    assert orbstack.calls.count("delete --force a") == 1


def test_a_failed_listing_does_not_prove_a_delete() -> None:
    orbstack = FakeOrbStack(a="running")
    orbstack.next["list"] = [
        ok(json.dumps([record("a", "running")])),
        failed("[-32098] something that passes"),
    ]

    with pytest.raises(EngineUnavailable):
        provider_of(orbstack).delete("a", timeout=60)


# capabilities


def test_capabilities() -> None:
    provider = provider_of(FakeOrbStack())

    for capability in (
        *(AutoChosen, Clones, CopiesFiles, Describes, Inspects, RecognisesCreate),
        *(RunsCommands, Settles, ShowsDelete, StartsAndStops),
    ):
        assert isinstance(provider, capability)
    assert not isinstance(provider, TakesLabels)
    assert provider.describe() == "OrbStack 2.2.3"
    assert provider.delete_argv("a") == ("orbctl", "delete", "--force", "a")


def test_stop_never_goes_without_a_name() -> None:
    orbstack = FakeOrbStack()

    for name in ("", "--all"):
        with pytest.raises(ProviderError, match="no machine's name"):
            provider_of(orbstack).stop(name, timeout=10)
    assert orbstack.calls == []


def test_words_of_the_other_commands() -> None:
    orbstack = FakeOrbStack(a="running")
    orbstack.next = {verb: [ok()] for verb in ("start", "stop", "push", "pull", "clone")}
    provider = provider_of(orbstack)

    provider.stop("a", timeout=10)
    provider.start("a", timeout=10)
    provider.push("a", "-x", "/tmp/x", timeout=10)
    provider.pull("a", "/tmp/x", "-x", timeout=10)

    assert orbstack.calls == [
        "stop a",
        "start a",
        "push --machine=a ./-x /tmp/x",
        "pull --machine=a /tmp/x ./-x",
    ]


def test_a_clone_is_started_and_tried() -> None:
    orbstack = FakeOrbStack(a="running", vm_1="running")
    orbstack.next = {"clone": [ok()], "start": [ok()]}

    info = provider_of(orbstack).clone("a", Spec(name="vm-1"), timeout=10)

    assert info.name == "vm-1"
    assert orbstack.calls == [
        "status",
        "clone a vm-1",
        "start vm-1",
        "info vm-1 --format json",
        "run --machine=vm-1 true",
    ]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("machine already exists: 'vm-1'", NameTaken),
        ("machine not found: 'a'", CreateFailed),
        ("something that nobody has seen yet", CreateUnsettled),
    ],
)
def test_errors_of_clone(said: str, expected: type[ProviderError]) -> None:
    orbstack = FakeOrbStack(a="running")
    orbstack.next["clone"] = [failed(f"[-32098] clone 'a': {said}")]

    with pytest.raises(ProviderError) as caught:
        provider_of(orbstack).clone("a", Spec(name="vm-1"), timeout=10)
    assert type(caught.value) is expected


def test_inspect_goes_by_name_alone() -> None:
    provider = provider_of(FakeOrbStack(a="running"))

    info = provider.inspect("a")

    assert info is not None
    assert info.address == "192.168.139.10"
    assert provider.inspect("b") is None
    assert provider.inspect(ULID) is None
    assert [name for name in ("", "-f", "a b", "--all") if provider.inspect(name)] == []
