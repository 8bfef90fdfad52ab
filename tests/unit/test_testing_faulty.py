from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Literal

import pytest

from vmharness.errors import CreateFailed, CreateTimeout, DeleteFailed, EngineUnavailable
from vmharness.provider import (
    Describes,
    Inspects,
    ListsImages,
    MachineInfo,
    MachineState,
    Provider,
    RunsCommands,
    Settles,
    ShowsDelete,
    Spec,
    TakesLabels,
)
from vmharness.testing import FakeClock, FaultyProvider


class Plain:
    """A provider as small as can be, of a class that names no Protocol."""

    endpoint = "plain"

    def __init__(self) -> None:
        self.machines: dict[str, MachineInfo] = {}

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        info = MachineInfo(name=spec.name, state=MachineState.RUNNING)
        self.machines[spec.name] = info
        return info

    def list(self) -> Sequence[MachineInfo]:
        return tuple(self.machines.values())

    def delete(self, name: str, *, timeout: float) -> None:
        self.machines.pop(name, None)

    def exists(self, name: str) -> bool:
        return name in self.machines


class Able(Plain):
    label_length = 63
    settle_s = 1.5

    def images(self) -> Sequence[str]:
        return ["tiny"]


def test_calls_that_are_not_struck_reach_the_engine() -> None:
    provider = FaultyProvider(Plain(), "delete", "fails", calls=[2])
    provider.create(Spec(name="a"), timeout=1)
    assert provider.exists("a")

    provider.delete("a", timeout=1)
    with pytest.raises(DeleteFailed):
        provider.delete("a", timeout=1)
    provider.delete("a", timeout=1)

    assert provider.list() == ()
    assert provider.endpoint == "plain"


def test_failing_create_asks_nothing() -> None:
    inner = Plain()

    with pytest.raises(CreateFailed):
        FaultyProvider(inner, "create", "fails").create(Spec(name="a"), timeout=1)

    assert inner.machines == {}


def test_reading_verbs_fail_as_an_unavailable_engine() -> None:
    with pytest.raises(EngineUnavailable):
        FaultyProvider(Plain(), "list", "fails").list()
    with pytest.raises(EngineUnavailable):
        FaultyProvider(Plain(), "exists", "fails").exists("a")


def test_hanging_create_ends_at_its_deadline() -> None:
    inner, waits = Plain(), list[float]()

    with pytest.raises(CreateTimeout):
        FaultyProvider(inner, "create", "hangs", sleep=waits.append).create(Spec(name="a"), timeout=30)

    assert waits == [30]
    assert inner.machines == {}


def test_late_create_arrives_after_its_timeout() -> None:
    inner, arrived = Plain(), threading.Event()
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if seconds == 5:
            arrived.wait(60)

    provider = FaultyProvider(inner, "create", "late", late_s=5, sleep=sleep)

    with pytest.raises(CreateTimeout):
        provider.create(Spec(name="a"), timeout=30)
    assert waits[0] == 30
    assert not provider.exists("a")
    assert not provider.wait_for_late(0)

    arrived.set()
    assert provider.wait_for_late(60)
    assert provider.exists("a")


def test_late_create_that_fails_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    inner = FaultyProvider(Plain(), "create", "fails")
    provider = FaultyProvider(inner, "create", "late", sleep=lambda _: None)

    with pytest.raises(CreateTimeout):
        provider.create(Spec(name="a"), timeout=1)

    assert provider.wait_for_late(60)
    assert "late create of a failed" in caplog.text


def test_slow_calls_do_their_work_in_the_time_that_is_left() -> None:
    class Timed(Plain):
        def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
            left.append(timeout)
            return super().create(spec, timeout=timeout)

    clock, left = FakeClock(), list[float]()
    provider = FaultyProvider(Timed(), "create", "slow", slow_s=4, sleep=clock.sleep)

    provider.create(Spec(name="a"), timeout=10)
    provider.create(Spec(name="b"), timeout=10)

    assert left == [6, 10]
    assert clock.slept == [4]


@pytest.mark.parametrize(("verb", "error"), [("create", CreateTimeout), ("delete", DeleteFailed)])
def test_a_call_that_is_too_slow_ends_at_its_deadline(
    verb: Literal["create", "delete"], error: type[Exception]
) -> None:
    inner, clock = Plain(), FakeClock()
    inner.create(Spec(name="old"), timeout=1)
    provider = FaultyProvider(inner, verb, "slow", slow_s=60, sleep=clock.sleep)

    calls: dict[str, Callable[[], object]] = {
        "create": lambda: provider.create(Spec(name="new"), timeout=10),
        "delete": lambda: provider.delete("old", timeout=10),
    }

    with pytest.raises(error):
        calls[verb]()

    assert clock.slept == [10]
    assert list(inner.machines) == ["old"]


def test_lies_change_nothing() -> None:
    inner = Plain()
    inner.create(Spec(name="old"), timeout=1)

    made = FaultyProvider(inner, "create", "lies").create(Spec(name="new"), timeout=1)
    FaultyProvider(inner, "delete", "lies").delete("old", timeout=1)

    assert (made.name, made.state) == ("new", MachineState.RUNNING)
    assert list(inner.machines) == ["old"]
    assert FaultyProvider(inner, "list", "lies").list() == ()
    assert FaultyProvider(inner, "exists", "lies").exists("old") is False
    assert FaultyProvider(inner, "exists", "lies").exists("new") is True


def test_a_chance_strikes_the_same_calls_each_time() -> None:
    def struck(chance: float, seed: int) -> list[bool]:
        provider = FaultyProvider(Plain(), "exists", "lies", chance=chance, seed=seed)
        return [provider.exists("a") for _ in range(100)]

    assert struck(0.3, 1) == struck(0.3, 1) != struck(0.3, 2)
    assert 10 < sum(struck(0.3, 1)) < 50
    assert sum(struck(0, 1)) == 0
    assert sum(struck(1, 1)) == 100


def test_a_chance_is_from_0_to_1() -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        FaultyProvider(Plain(), "exists", "fails", chance=30)


def test_only_creates_can_be_late() -> None:
    with pytest.raises(ValueError, match="cannot make 'delete' late"):
        FaultyProvider(Plain(), "delete", "late")


def test_capabilities_are_those_of_the_inner_provider() -> None:
    capabilities = (TakesLabels, Settles, ListsImages, RunsCommands, Inspects, Describes, ShowsDelete)
    plain = FaultyProvider(Plain(), "list", "fails")
    able = FaultyProvider(FaultyProvider(Able(), "list", "fails"), "delete", "fails")

    assert [capability for capability in capabilities if isinstance(plain, capability)] == []
    assert [capability for capability in capabilities if isinstance(able, capability)] == [
        TakesLabels,
        Settles,
        ListsImages,
    ]
    assert isinstance(able, Provider)
    assert isinstance(able, ListsImages)
    assert able.images() == ["tiny"]
