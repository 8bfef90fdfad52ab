"""OrbStack against the conformance kit, by way of real processes: those of the simulator."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import vmharness_orbstack
from vmharness.errors import Busy, CreateFailed, CreateTimeout, CreateUnsettled, EngineUnavailable
from vmharness.provider import Connect, Describes, MachineState, Provider, Spec
from vmharness.testing import ProviderContract

FAKES = Path(__file__).parents[1] / "fakes"


def orbctl(*args: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["orbctl", *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=10, check=False
    )


def pass_time(folder: Path, seconds: float) -> None:
    """Let the daemon's clock go on; to be called while no client runs."""
    path = folder / "state.json"
    state = json.loads(path.read_text())
    for machine in state["machines"].values():
        machine["born"] -= seconds
    path.write_text(json.dumps(state))


@pytest.fixture
def simulator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Put the simulator on PATH, and return the folder of its state."""
    python = Path(sys.executable).parent
    monkeypatch.setenv("PATH", os.pathsep.join([str(FAKES), str(python), os.environ["PATH"]]))
    monkeypatch.setenv("ORBCTL_SIM_DIR", str(tmp_path))
    return tmp_path


class TestOrbStack(ProviderContract):
    image = "ubuntu:24.04"

    @pytest.fixture
    def connect(self, simulator: Path) -> Connect:
        return vmharness_orbstack.connect

    @pytest.fixture
    def stop(self) -> Callable[[str], None]:
        def stop(name: str) -> None:
            assert orbctl("stop", name).returncode == 0

        return stop


class TestOrbStackFaults:
    """What goes wrong with OrbStack, by way of real processes."""

    @pytest.fixture
    def faults(self, simulator: Path) -> Callable[..., None]:
        def faults(**faults: object) -> None:
            (simulator / "faults.json").write_text(json.dumps(faults))

        return faults

    @pytest.fixture
    def provider(self, simulator: Path) -> Provider:
        return vmharness_orbstack.connect()

    def test_a_machine_appears_after_the_deadline_and_can_be_deleted(
        self, provider: Provider, simulator: Path, faults: Callable[..., None]
    ) -> None:
        faults(create_hangs=True, create_s=3600)
        with pytest.raises(CreateTimeout):
            provider.create(Spec(name="late"), timeout=1.5)

        before = provider.list()
        with pytest.raises(Busy):
            provider.delete("late", timeout=5)
        pass_time(simulator, 3600)
        after = provider.list()
        provider.delete("late", timeout=5)

        assert [(machine.name, machine.state) for machine in before] == [("late", MachineState.CREATING)]
        assert [(machine.name, machine.state) for machine in after] == [("late", MachineState.RUNNING)]
        assert provider.list() == ()

    def test_a_stopped_engine_stays_stopped(self, provider: Provider) -> None:
        assert isinstance(provider, Describes)
        orbctl("stop")

        for ask in (provider.list, provider.describe):
            with pytest.raises(EngineUnavailable, match="orbctl start"):
                ask()
        with pytest.raises(CreateFailed, match="orbctl start"):
            provider.create(Spec(name="vm-1"), timeout=10)

        assert orbctl("status").stdout == b"Stopped\n"

    def test_a_failed_listing_is_never_an_empty_one(
        self, provider: Provider, faults: Callable[..., None]
    ) -> None:
        provider.create(Spec(name="vm-1"), timeout=20)
        faults(list_error="something that passes")

        with pytest.raises(EngineUnavailable):
            provider.list()
        with pytest.raises(EngineUnavailable):
            provider.exists("vm-1")
        with pytest.raises(EngineUnavailable):
            provider.delete("vm-1", timeout=5)

    def test_failed_creates_are_told_from_those_that_left_something(
        self, provider: Provider, faults: Callable[..., None]
    ) -> None:
        faults(missing_ip=True)
        with pytest.raises(CreateFailed, match=r"missing IP address.*reboot"):
            provider.create(Spec(name="vm-1"), timeout=20)
        faults(missing_ip=True, leftover=True)
        with pytest.raises(CreateUnsettled, match="still listed"):
            provider.create(Spec(name="vm-1"), timeout=20)
        faults(no_limits=True)
        with pytest.raises(CreateFailed, match="update OrbStack"):
            provider.create(Spec(name="vm-2", cpus=2), timeout=20)

    @pytest.mark.parametrize("stream", ["stdout", "stderr"])
    def test_news_of_an_update_changes_nothing(
        self, provider: Provider, faults: Callable[..., None], stream: str
    ) -> None:
        faults(banner=stream)

        made = provider.create(Spec(name="vm-1"), timeout=20)

        assert made.address.startswith("192.168.139.")
        assert [machine.name for machine in provider.list()] == ["vm-1"]
