from __future__ import annotations

import threading
from collections.abc import Sequence

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
from vmharness.testing import FaultyProvider


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
