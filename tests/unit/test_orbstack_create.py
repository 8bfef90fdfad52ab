"""Creates of OrbStack: attempts, whose machine it is, and waiting until it can be used."""

from __future__ import annotations

import json

import pytest

from orbstack_memory import BORN, FakeOrbStack, failed, ok, provider_of, record
from vmharness.errors import (
    CreateFailed,
    CreateTimeout,
    CreateUnsettled,
    NameTaken,
    NotSupported,
)
from vmharness.provider import (
    CommandResult,
    Kind,
    MachineInfo,
    MachineState,
    Spec,
)

TAKEN = "[-32098] create 'vm-1': machine already exists: 'vm-1'"
PASSING = "[-32098] create 'vm-1': make rootfs: unexpected EOF"
ROLLED_BACK = "[-32098] create 'vm-1': setup: machine crashed on startup"


def create(orbstack: FakeOrbStack, spec: Spec | None = None) -> MachineInfo:
    return provider_of(orbstack).create(spec or Spec(name="vm-1"), timeout=60)


def test_create_asks_makes_and_tries() -> None:
    orbstack = FakeOrbStack()

    info = create(orbstack)

    assert info == MachineInfo(
        name="vm-1",
        state=MachineState.RUNNING,
        image="ubuntu:noble",
        created_at=BORN,
        created_resolution=0.001,
        labels=None,
        address="192.168.139.10",
    )
    assert orbstack.calls == [
        "status",
        "create ubuntu:24.04 vm-1",
        "info vm-1 --format json",
        "run --machine=vm-1 true",
    ]


def test_create_waits_until_the_machine_runs_has_an_address_and_runs_commands() -> None:
    orbstack = FakeOrbStack()
    orbstack.next["info"] = [
        ok(json.dumps({"record": record("vm-1", "provisioning"), "ip4": "192.168.139.10"})),
        ok(json.dumps({"record": record("vm-1", "running")})),
        failed("[-32098] something that passes"),
    ]
    orbstack.next["run"] = [failed("[-32098] agent not running"), TimeoutError(), failed("", 255)]

    assert create(orbstack).address == "192.168.139.10"
    assert orbstack.calls.count("info vm-1 --format json") == 7
    assert orbstack.calls.count("run --machine=vm-1 true") == 4


@pytest.mark.parametrize(
    ("verb", "answer", "why"),
    [
        ("info", ok(json.dumps({"record": record("vm-1", "running")})), "its address ''"),
        ("info", ok(json.dumps({"record": record("vm-1", "stopped")})), "its state is stopped"),
        ("info", TimeoutError("orbctl info: no end"), "does not answer"),
        ("run", failed("[-32098] agent not running"), "agent not running"),
        ("run", failed("", 255), "'true' ended with 255"),
    ],
)
def test_a_machine_that_never_gets_ready_is_a_timeout(
    verb: str, answer: CommandResult | BaseException, why: str
) -> None:
    orbstack = FakeOrbStack()
    orbstack.next[verb] = [answer] * 1000

    with pytest.raises(CreateTimeout, match=why):
        create(orbstack)


def test_a_machine_that_vanishes_after_its_create_is_unsettled() -> None:
    orbstack = FakeOrbStack()
    orbstack.next["create"] = [ok()]

    with pytest.raises(CreateUnsettled, match="doesn't know it any more"):
        create(orbstack)


def test_an_engine_that_is_gone_after_the_create_leaves_it_unsettled() -> None:
    orbstack = FakeOrbStack()
    orbstack.next["info"] = [failed("[-32098] timed out waiting for services to start")]

    with pytest.raises(CreateUnsettled):
        create(orbstack)


@pytest.mark.parametrize(
    "name",
    ["", "a", "A-b", "a_b", "a.b", "1a", "-a", "a-", "a b", "a/b", "ä-b", "vm-1\n", "a" * 41, "--all"],
)
def test_names_that_some_release_refuses_are_refused_before_asking(name: str) -> None:
    orbstack = FakeOrbStack()

    with pytest.raises(CreateFailed, match="a name is 2 to 40 of"):
        create(orbstack, Spec(name=name))
    assert orbstack.calls == []


@pytest.mark.parametrize("name", ["docker", "k8s", "default"])
def test_orbstacks_own_names_are_refused(name: str) -> None:
    orbstack = FakeOrbStack()

    with pytest.raises(CreateFailed, match="for itself"):
        create(orbstack, Spec(name=name))
    assert orbstack.calls == []


@pytest.mark.parametrize("name", ["ab", "a" * 40, "vm-1", "k8s-docker"])
def test_names_that_every_release_takes(name: str) -> None:
    assert create(FakeOrbStack(), Spec(name=name)).name == name


@pytest.mark.parametrize("spec", [Spec(name="vm-1", image="windows:11"), Spec(name="vm-1", arch="mips")])
def test_what_orbstack_does_not_have_is_refused_before_asking(spec: Spec) -> None:
    orbstack = FakeOrbStack()

    with pytest.raises(CreateFailed, match="OrbStack has no"):
        create(orbstack, spec)
    assert orbstack.calls == []


@pytest.mark.parametrize("kind", Kind)
def test_orbstacks_one_kind_of_machine_stands_for_all(kind: Kind) -> None:
    assert create(FakeOrbStack(), Spec(name="vm-1", kind=kind)).name == "vm-1"


def test_foreign_names_of_architectures_are_translated() -> None:
    orbstack = FakeOrbStack()

    create(orbstack, Spec(name="vm-1", arch="x86_64"))

    assert "create --arch=amd64 ubuntu:24.04 vm-1" in orbstack.calls


def test_a_create_that_was_rolled_back_failed() -> None:
    orbstack = FakeOrbStack()
    orbstack.next["create"] = [failed(ROLLED_BACK)]

    with pytest.raises(CreateFailed, match="crashed on startup"):
        create(orbstack)
    assert orbstack.calls[-1] == "list --format json"
    assert orbstack.calls.count("create ubuntu:24.04 vm-1") == 1


def test_a_create_that_failed_for_a_while_is_tried_again() -> None:
    orbstack = FakeOrbStack()
    orbstack.next["create"] = [failed(PASSING)] * 3

    assert create(orbstack).state is MachineState.RUNNING
    assert orbstack.calls.count("create ubuntu:24.04 vm-1") == 4


def test_a_create_that_keeps_failing_is_given_up() -> None:
    orbstack = FakeOrbStack()
    orbstack.next["create"] = [failed(PASSING)] * 9

    with pytest.raises(CreateFailed, match="check the network") as caught:
        create(orbstack)
    assert caught.value.retryable
    assert orbstack.calls.count("create ubuntu:24.04 vm-1") == 4


def test_a_create_is_not_tried_again_beyond_its_deadline() -> None:
    orbstack = FakeOrbStack()
    orbstack.next["create"] = [failed(PASSING)] * 9

    with pytest.raises(CreateFailed):
        provider_of(orbstack).create(Spec(name="vm-1"), timeout=5)
    assert orbstack.calls.count("create ubuntu:24.04 vm-1") == 2


def test_an_engine_that_is_starting_is_waited_for() -> None:
    orbstack = FakeOrbStack()
    orbstack.next["status"] = [CommandResult(status=2, stdout="Starting\n", stderr="")] * 2

    assert create(orbstack).state is MachineState.RUNNING


# whose machine it is


def test_a_name_that_is_taken_at_first_is_a_strangers_however_young() -> None:
    orbstack = FakeOrbStack(vm_1="running")
    orbstack.next["create"] = [failed(TAKEN)]

    with pytest.raises(NameTaken):
        create(orbstack)


def test_a_name_that_our_own_attempt_took_is_ours() -> None:
    orbstack = FakeOrbStack()
    orbstack.next["create"] = [failed(PASSING), failed(TAKEN)]
    orbstack.next["list"] = [ok("[]"), ok(json.dumps([record("vm-1", "provisioning")]))]
    orbstack.machines["vm-1"] = "running"

    assert create(orbstack).name == "vm-1"


def test_a_name_that_was_taken_before_we_began_is_a_strangers() -> None:
    orbstack = FakeOrbStack(vm_1="running")
    orbstack.next["create"] = [failed(PASSING), failed(TAKEN)]
    orbstack.next["list"] = [ok("[]")]

    with pytest.raises(NameTaken):
        provider_of(orbstack, now=BORN + 1).create(Spec(name="vm-1"), timeout=60)


def test_a_machine_whose_client_came_to_grief_is_found() -> None:
    orbstack = FakeOrbStack(vm_1="running")
    orbstack.next["create"] = [failed("", -9)]

    assert create(orbstack).name == "vm-1"


@pytest.mark.parametrize("answer", [ok("[]"), failed("[-32098] something that passes")])
def test_a_machine_whose_client_came_to_grief_is_not_guessed(answer: CommandResult) -> None:
    orbstack = FakeOrbStack(vm_1="running")
    orbstack.next["create"] = [failed("", -9)]
    orbstack.next["list"] = [answer]

    with pytest.raises(CreateUnsettled):
        create(orbstack)


def test_an_older_machine_is_no_proof_that_ours_was_made() -> None:
    orbstack = FakeOrbStack(vm_1="running")
    orbstack.next["create"] = [failed("", -9)]

    with pytest.raises(CreateUnsettled):
        provider_of(orbstack, now=BORN + 1).create(Spec(name="vm-1"), timeout=60)


def test_limits_that_an_older_release_lacks_are_not_supported() -> None:
    orbstack = FakeOrbStack()
    orbstack.next["create"] = [failed("Error: unknown flag: --cpus")]

    with pytest.raises(CreateFailed, match="update OrbStack") as caught:
        create(orbstack, Spec(name="vm-1", cpus=2))
    assert isinstance(caught.value.__cause__, NotSupported)


def test_a_create_that_is_being_rolled_back_is_waited_for() -> None:
    orbstack = FakeOrbStack()
    orbstack.next["create"] = [failed(ROLLED_BACK)]
    orbstack.next["list"] = [ok(json.dumps([record("vm-1", "deleting")]))] * 3

    with pytest.raises(CreateFailed):
        create(orbstack)


@pytest.mark.parametrize("state", ["creating", "provisioning", "running", "stopped"])
def test_a_create_that_failed_and_left_something_is_unsettled(state: str) -> None:
    orbstack = FakeOrbStack(vm_1=state)
    orbstack.next["create"] = [failed(ROLLED_BACK)]

    with pytest.raises(CreateUnsettled, match="still listed"):
        create(orbstack)


def test_a_failed_listing_does_not_prove_a_roll_back() -> None:
    orbstack = FakeOrbStack()
    orbstack.next["create"] = [failed(ROLLED_BACK)]
    orbstack.next["list"] = [failed("[-32098] something that passes")]

    with pytest.raises(CreateUnsettled, match="not known"):
        create(orbstack)


def test_an_interrupt_passes_through() -> None:
    orbstack = FakeOrbStack()
    orbstack.next["create"] = [KeyboardInterrupt()]

    with pytest.raises(KeyboardInterrupt):
        create(orbstack)
