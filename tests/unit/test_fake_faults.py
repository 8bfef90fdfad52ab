from __future__ import annotations

import math

import pytest

from vmharness.errors import (
    Busy,
    CreateFailed,
    CreateTimeout,
    CreateUnsettled,
    DeleteFailed,
    EngineUnavailable,
    SettingsError,
)
from vmharness.provider import Spec
from vmharness.testing import FakeClock
from vmharness_fake import FakeProvider, Fault, Faults, Latencies, MemoryStore


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1000)


def fake(clock: FakeClock, *rules: Fault, create_s: float = 0.0) -> FakeProvider:
    return FakeProvider(
        MemoryStore(),
        latencies=Latencies(create_s=create_s),
        faults=Faults(rules),
        clock=clock.time,
        sleep=clock.sleep,
    )


def states(provider: FakeProvider) -> dict[str, str]:
    return {info.name: info.state.value for info in provider.list()}


def create(provider: FakeProvider, name: str = "a", *, timeout: float = 60.0) -> None:
    provider.create(Spec(name=name), timeout=timeout)


def test_failing_create_makes_nothing(clock: FakeClock) -> None:
    provider = fake(clock, Fault("create", "fails", last=1))

    with pytest.raises(CreateFailed):
        create(provider)

    assert states(provider) == {}
    create(provider)


def test_slow_create_takes_longer(clock: FakeClock) -> None:
    create(fake(clock, Fault("create", "slow", seconds=5), create_s=1))

    assert clock.time() == 1006


def test_late_machine_appears_after_the_deadline(clock: FakeClock) -> None:
    provider = fake(clock, Fault("create", "late", seconds=1.5))

    with pytest.raises(CreateTimeout):
        create(provider, timeout=10)

    assert clock.time() == 1010
    assert states(provider) == {}
    assert not provider.exists("a")
    provider.delete("a", timeout=60)
    clock.sleep(1.5)
    assert states(provider) == {"a": "running"}
    assert [info.created_at for info in provider.list()] == [1011.5]


def test_machine_that_is_late_by_nothing_is_late_all_the_same(clock: FakeClock) -> None:
    provider = fake(clock, Fault("create", "late"))

    with pytest.raises(CreateTimeout):
        create(provider)

    assert states(provider) == {"a": "running"}


def test_late_machine_may_never_appear(clock: FakeClock) -> None:
    provider = fake(clock, Fault("create", "late", seconds=math.inf))

    with pytest.raises(CreateTimeout):
        create(provider)

    clock.sleep(1e9)
    assert states(provider) == {}


def test_lost_create_makes_the_machine(clock: FakeClock) -> None:
    provider = fake(clock, Fault("create", "lost"))

    with pytest.raises(CreateUnsettled) as caught:
        create(provider)

    assert not isinstance(caught.value, CreateTimeout)
    assert states(provider) == {"a": "running"}


def test_lying_delete_leaves_the_machine(clock: FakeClock) -> None:
    provider = fake(clock, Fault("delete", "lies", last=1))
    create(provider)

    provider.delete("a", timeout=60)

    assert states(provider) == {"a": "running"}
    provider.delete("a", timeout=60)
    assert states(provider) == {}


def test_failing_delete_leaves_the_machine(clock: FakeClock) -> None:
    provider = fake(clock, Fault("delete", "fails", first=2, last=3))
    for name in "abc":
        create(provider, name)

    provider.delete("a", timeout=60)
    for _ in range(2):
        with pytest.raises(DeleteFailed):
            provider.delete("b", timeout=60)
    provider.delete("b", timeout=60)

    assert states(provider) == {"c": "running"}


def test_busy_engine_refuses_to_delete(clock: FakeClock) -> None:
    provider = fake(clock, Fault("delete", "busy", last=1))
    create(provider)

    with pytest.raises(Busy) as caught:
        provider.delete("a", timeout=60)

    assert caught.value.retryable
    provider.delete("a", timeout=60)


def test_machine_under_way_can_be_made_undeletable(clock: FakeClock) -> None:
    provider = fake(clock, Fault("delete", "busy-creating"), create_s=3)
    with pytest.raises(CreateTimeout):
        create(provider, timeout=1)

    with pytest.raises(Busy):
        provider.delete("a", timeout=60)

    clock.sleep(2)
    provider.delete("a", timeout=60)
    assert states(provider) == {}


def test_unavailable_engine_answers_no_verb(clock: FakeClock) -> None:
    provider = fake(clock)
    create(provider)
    provider.store.set_faults(Faults((Fault("*", "unavailable"),)))

    with pytest.raises(CreateFailed):
        create(provider, "b")
    for ask in (
        provider.list,
        provider.describe,
        lambda: provider.exists("a"),
        lambda: provider.inspect("a"),
        lambda: provider.delete("a", timeout=60),
        lambda: provider.run("a", ["true"], timeout=60),
    ):
        with pytest.raises(EngineUnavailable):
            ask()

    provider.store.set_faults(Faults())
    assert states(provider) == {"a": "running"}


def test_fault_strikes_only_the_machines_it_names(clock: FakeClock) -> None:
    provider = fake(clock, Fault("create", "fails", name="db-"))

    create(provider, "web-1")
    with pytest.raises(CreateFailed):
        create(provider, "db-1")

    assert states(provider) == {"web-1": "running"}


def test_fault_that_a_verb_cannot_have_is_refused() -> None:
    with pytest.raises(SettingsError, match="cannot make 'list' go wrong by 'lies'; there are create: fails"):
        Fault("list", "lies")
