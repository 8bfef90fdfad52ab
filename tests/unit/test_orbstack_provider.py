"""The four verbs over orbctl: what is refused, what is waited for, and what is never taken for granted."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

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
    NotSupported,
    ProviderError,
)
from vmharness.provider import (
    AutoChosen,
    Clones,
    CommandResult,
    CopiesFiles,
    Describes,
    Inspects,
    Kind,
    MachineInfo,
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

ULID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
BORN = 1469922850.259
TAKEN = "[-32098] create 'vm-1': machine already exists: 'vm-1'"
PASSING = "[-32098] create 'vm-1': make rootfs: unexpected EOF"
ROLLED_BACK = "[-32098] create 'vm-1': setup: machine crashed on startup"


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class FakeOrbStack(CommandLine):
    """An OrbStack in memory. For each verb, `next` has the answers that come before the usual one."""

    def __init__(self, **machines: str) -> None:
        super().__init__("orbctl", backend="orbstack")
        self.machines = {name.replace("_", "-"): state for name, state in machines.items()}
        self.next: dict[str, list[CommandResult | BaseException]] = {}
        self.calls: list[str] = []

    def run(self, args: Sequence[str], *, timeout: float, input: bytes | None = None) -> CommandResult:
        verb = args[0]
        self.calls.append(" ".join(args))
        queue = self.next.get(verb, [])
        answer = queue.pop(0) if queue else getattr(self, f"_{verb}")(args)
        if isinstance(answer, BaseException):
            raise answer
        assert isinstance(answer, CommandResult)
        return answer

    def _status(self, args: Sequence[str]) -> CommandResult:
        return ok("Running\n")

    def _version(self, args: Sequence[str]) -> CommandResult:
        return ok("Version: 2.2.3 (2020300)\nCommit: c83556b0 (v2.2.3)\n")

    def _list(self, args: Sequence[str]) -> CommandResult:
        return ok(json.dumps([record(name, state) for name, state in self.machines.items()]))

    def _info(self, args: Sequence[str]) -> CommandResult:
        if args[1] not in self.machines:
            return failed(f"[-32098] machine not found: '{args[1]}'")
        return ok(json.dumps({"record": record(args[1], self.machines[args[1]]), "ip4": "192.168.139.10"}))

    def _create(self, args: Sequence[str]) -> CommandResult:
        self.machines[args[-1]] = "running"
        return ok()

    def _delete(self, args: Sequence[str]) -> CommandResult:
        del self.machines[args[-1]]
        return ok()

    def _run(self, args: Sequence[str]) -> CommandResult:
        return ok()


def record(name: str, state: str) -> dict[str, object]:
    image = {"distro": "ubuntu", "version": "noble"}
    return {"id": ULID, "name": name, "state": state, "image": image, "builtin": name in ("docker", "k8s")}


def ok(stdout: str = "") -> CommandResult:
    return CommandResult(status=0, stdout=stdout, stderr="")


def failed(stderr: str, status: int = 1) -> CommandResult:
    return CommandResult(status=status, stdout="", stderr=stderr)


def provider_of(orbstack: FakeOrbStack, *, now: float = BORN - 1) -> OrbStackProvider:
    """Return a provider whose calls begin at that time, seconds since the epoch."""
    clock = Clock()
    return OrbStackProvider(
        orbstack, endpoint="orbstack:501", clock=clock, sleep=clock.sleep, now=lambda: now
    )


def create(orbstack: FakeOrbStack, spec: Spec | None = None) -> MachineInfo:
    return provider_of(orbstack).create(spec or Spec(name="vm-1"), timeout=60)


# create


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
    assert [name for name in ("", "-f", "a b", "--all") if provider.inspect(name)] == []
