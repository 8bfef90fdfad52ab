"""OrbStack against the conformance kit, on the simulator: a state machine behind real processes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import vmharness_orbstack
from orbctls import Commands
from vmharness.errors import (
    Busy,
    CreateFailed,
    CreateTimeout,
    CreateUnsettled,
    DeleteFailed,
    EngineUnavailable,
)
from vmharness.provider import Connect, Describes, MachineState, Provider, RunsCommands, Spec
from vmharness.testing import ProviderContract


@pytest.fixture
def orbctl(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Commands:
    """Put the simulator on PATH."""
    commands = Commands(tmp_path / "bin")
    monkeypatch.delenv("VMHARNESS_ORBCTL_DIR", raising=False)
    monkeypatch.setenv("PATH", os.pathsep.join([str(commands.folder), os.environ["PATH"]]))
    return commands


class TestOrbStack(ProviderContract):
    image = "ubuntu:24.04"

    @pytest.fixture
    def connect(self, orbctl: Commands) -> Connect:
        return vmharness_orbstack.connect

    @pytest.fixture
    def stop(self, orbctl: Commands) -> Callable[[str], None]:
        def stop(name: str) -> None:
            orbctl.says("stop", name)

        return stop

    @pytest.fixture
    def slow(self, orbctl: Commands) -> Callable[[str, float], None]:
        def slow(verb: str, seconds: float) -> None:
            orbctl.set(**{f"{verb}_s": seconds})

        return slow

    @pytest.fixture
    def unreachable(self, tmp_path: Path) -> Provider:
        """Return an OrbStack that is switched off."""
        other = Commands((tmp_path / "other").resolve())
        other("stop")
        return vmharness_orbstack.connect(f"orbstack:{os.getuid()}:{other.folder / 'orbctl'}")


class TestOrbStackFaults:
    """What goes wrong with OrbStack, by way of real processes."""

    @pytest.fixture
    def provider(self, orbctl: Commands) -> Provider:
        return vmharness_orbstack.connect()

    def test_a_machine_appears_after_the_deadline_and_can_be_deleted(
        self, provider: Provider, orbctl: Commands
    ) -> None:
        orbctl.set(create_s=3600)
        with pytest.raises(CreateTimeout):
            provider.create(Spec(name="late"), timeout=3)

        before = provider.list()
        with pytest.raises((Busy, DeleteFailed)) as refused:
            provider.delete("late", timeout=1)
        orbctl.steer.pass_time(3600)
        after = provider.list()
        provider.delete("late", timeout=20)

        assert [(machine.name, machine.state) for machine in before] == [("late", MachineState.CREATING)]
        assert [(machine.name, machine.state) for machine in after] == [("late", MachineState.RUNNING)]
        assert refused.value.retryable
        assert provider.list() == ()

    def test_a_delete_waits_until_the_creation_is_over(self, provider: Provider, orbctl: Commands) -> None:
        orbctl.set(create_s=1.5)
        client = orbctl.start("create", "ubuntu", "vm-1")
        orbctl.steer.wait_for("create", "accepted")

        provider.delete("vm-1", timeout=30)

        assert client.wait() in (0, 1)  # it may hear of its machine between the two
        assert provider.list() == ()
        assert len([event for event in orbctl.steer.events() if event.verb == "delete"]) > 3

    def test_a_client_that_dies_does_not_take_its_machine_along(
        self, provider: Provider, orbctl: Commands, tmp_path: Path
    ) -> None:
        orbctl.set(errors={"create": "index-timeout"}, times={"create": 2})

        made = provider.create(Spec(name="vm-1"), timeout=60)

        creates = [event for event in orbctl.steer.events() if event.verb == "create"]
        assert made.state is MachineState.RUNNING
        assert [event.detail for event in creates if event.phase == "end"] == ["1", "1", "0"]

    def test_a_stopped_engine_stays_stopped(self, provider: Provider, orbctl: Commands) -> None:
        assert isinstance(provider, Describes)
        assert isinstance(provider, RunsCommands)
        orbctl("stop")

        for ask in (provider.list, provider.describe):
            with pytest.raises(EngineUnavailable, match="orbctl start"):
                ask()
        with pytest.raises(CreateFailed, match="orbctl start"):
            provider.create(Spec(name="vm-1"), timeout=10)

        assert orbctl("status").stdout == "Stopped\n"

    def test_a_failed_listing_is_never_an_empty_one(self, provider: Provider, orbctl: Commands) -> None:
        provider.create(Spec(name="vm-1"), timeout=20)
        orbctl.set(errors={"list": "passing"})

        with pytest.raises(EngineUnavailable):
            provider.list()
        with pytest.raises(EngineUnavailable):
            provider.exists("vm-1")
        with pytest.raises(EngineUnavailable):
            provider.delete("vm-1", timeout=5)

    def test_failed_creates_are_told_from_those_that_left_something(
        self, provider: Provider, orbctl: Commands
    ) -> None:
        orbctl.set(errors={"create": "crashed"})
        with pytest.raises(CreateFailed, match=r"crashed on startup"):
            provider.create(Spec(name="vm-1"), timeout=20)
        orbctl.set(leftover=True)
        with pytest.raises(CreateUnsettled, match="still listed"):
            provider.create(Spec(name="vm-1"), timeout=20)
        orbctl.set(errors=None, leftover=None, release="2.0.5")
        with pytest.raises(CreateFailed, match="update OrbStack"):
            provider.create(Spec(name="vm-2", cpus=2), timeout=20)

    @pytest.mark.parametrize("stream", ["stdout", "stderr"])
    def test_news_of_an_update_changes_nothing(
        self, provider: Provider, orbctl: Commands, stream: str
    ) -> None:
        orbctl.set(banner=stream)

        made = provider.create(Spec(name="vm-1"), timeout=20)

        assert made.address.startswith("192.168.139.")
        assert [machine.name for machine in provider.list()] == ["vm-1"]
