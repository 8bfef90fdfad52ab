from __future__ import annotations

import pytest

from vmharness.errors import (
    CreateFailed,
    CreateTimeout,
    DeleteFailed,
    EngineUnavailable,
    NameTaken,
    ProviderError,
)
from vmharness.provider import MachineState, ShowsDelete, Spec, TakesLabels
from vmharness.testing import FakeClock
from vmharness_fake import (
    FakeProvider,
    Latencies,
    MemoryStore,
    UnlabelledFakeProvider,
)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1000)


def fake(clock: FakeClock, *, create_s: float = 0.0, delete_s: float = 0.0) -> FakeProvider:
    return FakeProvider(
        MemoryStore(),
        latencies=Latencies(create_s=create_s, delete_s=delete_s),
        clock=clock.time,
        sleep=clock.sleep,
    )


def states(provider: UnlabelledFakeProvider) -> dict[str, str]:
    return {info.name: info.state.value for info in provider.list()}


def create(provider: UnlabelledFakeProvider, name: str = "a", *, timeout: float = 60.0) -> None:
    provider.create(Spec(name=name), timeout=timeout)


# ---- create ----------------------------------------------------------------------------------------------


def test_create_takes_as_long_as_it_should(clock: FakeClock) -> None:
    provider = fake(clock, create_s=3)

    info = provider.create(Spec(name="a", labels={"k": "v"}), timeout=60)

    assert clock.time() == 1003
    assert (info.state, info.created_at, info.labels) == (MachineState.RUNNING, 1000, {"k": "v"})


def test_create_that_is_too_slow_times_out_and_gets_ready_all_the_same(clock: FakeClock) -> None:
    provider = fake(clock, create_s=3)

    with pytest.raises(CreateTimeout):
        create(provider, timeout=2)

    assert clock.time() == 1002
    assert states(provider) == {"a": "creating"}
    clock.sleep(1)
    assert states(provider) == {"a": "running"}


def test_create_of_a_taken_name_waits_for_nothing(clock: FakeClock) -> None:
    provider = fake(clock, create_s=3)
    create(provider)

    with pytest.raises(NameTaken):
        create(provider)

    assert clock.time() == 1003


@pytest.mark.parametrize("name", ["", "-a", "a-", "a b", "A", "ä", "../a", "a/b", "a" * 64, "a\n", "--help"])
def test_create_refuses_hostile_names(clock: FakeClock, name: str) -> None:
    provider = fake(clock)

    with pytest.raises(CreateFailed, match="a name has"):
        create(provider, name)

    assert states(provider) == {}


def test_create_of_an_unknown_image_lists_those_that_are_there(clock: FakeClock) -> None:
    provider = fake(clock)

    with pytest.raises(CreateFailed, match=r"no image 'windows'; the fake engine has ubuntu:24\.04"):
        provider.create(Spec(name="a", image="windows"), timeout=60)


def test_create_of_a_machine_that_somebody_deletes_meanwhile_fails(clock: FakeClock) -> None:
    store = MemoryStore()
    other = FakeProvider(store, clock=clock.time, sleep=clock.sleep)

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        other.delete("a", timeout=60)

    provider = FakeProvider(store, latencies=Latencies(create_s=1), clock=clock.time, sleep=sleep)

    with pytest.raises(CreateFailed, match="somebody deleted it"):
        create(provider)


def test_create_does_not_take_anothers_machine_for_its_own(clock: FakeClock) -> None:
    store = MemoryStore()
    other = FakeProvider(store, clock=clock.time, sleep=clock.sleep)

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        other.delete("a", timeout=60)
        create(other)

    provider = FakeProvider(store, latencies=Latencies(create_s=1), clock=clock.time, sleep=sleep)

    with pytest.raises(CreateFailed, match="somebody deleted it"):
        create(provider)

    assert states(other) == {"a": "running"}


# ---- delete ----------------------------------------------------------------------------------------------


def test_delete_takes_as_long_as_it_should(clock: FakeClock) -> None:
    provider = fake(clock, delete_s=3)
    create(provider)

    provider.delete("a", timeout=60)

    assert clock.time() == 1003
    assert states(provider) == {}


def test_delete_that_is_too_slow_fails_and_ends_all_the_same(clock: FakeClock) -> None:
    provider = fake(clock, delete_s=3)
    create(provider)

    with pytest.raises(DeleteFailed):
        provider.delete("a", timeout=2)

    assert states(provider) == {"a": "deleting"}
    provider.delete("a", timeout=60)
    assert clock.time() == 1003
    assert states(provider) == {}


def test_name_is_taken_until_its_machine_is_gone(clock: FakeClock) -> None:
    provider = fake(clock, delete_s=3)
    create(provider)
    with pytest.raises(DeleteFailed):
        provider.delete("a", timeout=2)

    with pytest.raises(NameTaken):
        create(provider)
    clock.sleep(1)
    create(provider)


def test_stopped_machines_are_listed_and_deleted(clock: FakeClock) -> None:
    provider = fake(clock)
    create(provider)

    provider.stop("a")

    assert states(provider) == {"a": "stopped"}
    provider.delete("a", timeout=60)
    assert states(provider) == {}


# ---- points ----------------------------------------------------------------------------------------------


def test_call_held_beyond_its_deadline_ends_with_the_error_of_its_verb(clock: FakeClock) -> None:
    provider = fake(clock)
    create(provider)

    provider.store.hold("create:before")
    with pytest.raises(CreateTimeout):
        create(provider, "b")
    provider.store.hold("delete:accepted")
    with pytest.raises(DeleteFailed):
        provider.delete("a", timeout=60)
    provider.store.hold("list:after")
    with pytest.raises(EngineUnavailable):
        provider.list()

    provider.store.release("list:after")
    assert states(provider) == {}


def test_create_held_at_its_end_has_made_the_machine(clock: FakeClock) -> None:
    provider = fake(clock)
    provider.store.hold("create:after")

    with pytest.raises(CreateTimeout):
        create(provider)

    assert states(provider) == {"a": "running"}


def test_unknown_point_is_refused(clock: FakeClock) -> None:
    with pytest.raises(ValueError, match="cannot hold 'create:during': the points are create:accepted"):
        fake(clock).store.hold("create:during")


def test_log_tells_what_a_call_met(clock: FakeClock) -> None:
    provider = fake(clock)
    create(provider)
    provider.store.hold("delete:before")
    with pytest.raises(DeleteFailed):
        provider.delete("a", timeout=0)

    told = [(event.verb, event.phase, event.name, event.detail) for event in provider.store.events()]

    assert told == [
        ("create", "begin", "a", ""),
        ("create", "accepted", "a", ""),
        ("create", "end", "a", ""),
        ("delete", "begin", "a", ""),
        ("delete", "waits", "a", "delete:before"),
        ("delete", "end", "a", "DeleteFailed"),
    ]


# ---- capabilities ----------------------------------------------------------------------------------------


def test_unlabelled_engine_has_no_labels(clock: FakeClock) -> None:
    provider = UnlabelledFakeProvider(MemoryStore(), clock=clock.time, sleep=clock.sleep)

    provider.create(Spec(name="a", labels={"k": "v"}), timeout=60)

    assert not isinstance(provider, TakesLabels)
    assert [info.labels for info in provider.list()] == [None]


def test_engine_in_memory_shows_no_command(clock: FakeClock) -> None:
    assert not isinstance(fake(clock), ShowsDelete)


def test_run_needs_a_running_machine(clock: FakeClock) -> None:
    provider = fake(clock)
    create(provider)
    provider.stop("a")

    with pytest.raises(ProviderError, match="cannot run in 'a': it is stopped"):
        provider.run("a", ["true"], timeout=60)


def test_run_takes_the_user_of_the_spec(clock: FakeClock) -> None:
    provider = fake(clock)
    provider.create(Spec(name="a", user="tester"), timeout=60)

    assert provider.run("a", ["whoami"], timeout=60).stdout == "tester\n"
    assert provider.run("a", ["whoami"], timeout=60, user="root").stdout == "root\n"


def test_run_says_that_a_program_is_unknown(clock: FakeClock) -> None:
    provider = fake(clock)
    create(provider)

    result = provider.run("a", ["apt-get", "update"], timeout=60)

    assert (result.status, result.stdout, result.stderr) == (127, "", "apt-get: not found\n")
