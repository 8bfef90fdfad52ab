"""The conformance kit's checks of start and stop; each docstring is the sentence that it proves."""

# ruff: noqa: S101 - asserts are what the kit is made of

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from vmharness.errors import ProviderError
from vmharness.provider import CopiesFiles, MachineState, Provider, StartsAndStops
from vmharness.testing._contract_base import Contract
from vmharness.testing._contract_files import path_inside
from vmharness.testing._levels import may
from vmharness.testing._machines import ContractMachines

__all__ = ["PowerContract"]


class PowerContract(Contract):
    """What the capability StartsAndStops promises."""

    verb = "start and stop"

    @pytest.fixture
    def switch(self, provider: Provider) -> StartsAndStops:
        """Return the provider as one that starts and stops machines."""
        if not isinstance(provider, StartsAndStops):
            pytest.skip("the provider starts and stops no machines")
        return provider

    @pytest.fixture
    def name(self, switch: StartsAndStops, machines: ContractMachines) -> str:
        """Return the name of a running machine."""
        name = machines.new_name()
        machines.create(name)
        return name

    @may
    def test_machine_is_stopped_when_stop_returns(
        self, switch: StartsAndStops, machines: ContractMachines, name: str
    ) -> None:
        """On return the machine is stopped."""
        switch.stop(name, timeout=self.create_timeout_s)

        assert _state(machines, name) is MachineState.STOPPED

    @may
    def test_stop_may_be_repeated(
        self, switch: StartsAndStops, machines: ContractMachines, name: str
    ) -> None:
        """A machine that is stopped is left alone."""
        for _ in range(2):
            switch.stop(name, timeout=self.create_timeout_s)

        assert machines.listed(name) is not None

    @may
    def test_machine_runs_when_start_returns(
        self, switch: StartsAndStops, machines: ContractMachines, name: str
    ) -> None:
        """On return the machine that was stopped runs."""
        switch.stop(name, timeout=self.create_timeout_s)

        switch.start(name, timeout=self.create_timeout_s)

        assert _state(machines, name) is MachineState.RUNNING

    @may
    def test_a_machine_stays_what_it_is(
        self, switch: StartsAndStops, machines: ContractMachines, name: str
    ) -> None:
        """Stopped, and started again, a machine has the labels and the time of creation that it had."""
        before = machines.listed_but_address(name)
        assert before is not None

        switch.stop(name, timeout=self.create_timeout_s)
        between = machines.listed_but_address(name)
        switch.start(name, timeout=self.create_timeout_s)

        assert between == replace(before, state=MachineState.STOPPED)
        assert machines.listed_but_address(name) == before

    @may
    def test_a_machine_keeps_its_files(
        self,
        provider: Provider,
        switch: StartsAndStops,
        machines: ContractMachines,
        name: str,
        tmp_path: Path,
    ) -> None:
        """Stopped, and started again, a machine has what is on its disk."""
        if not isinstance(provider, CopiesFiles):
            pytest.skip("the provider copies no files, by which it could be seen")
        inside, file = path_inside(lasting=True), tmp_path / "file"
        file.write_text("content")
        provider.push(name, str(file), inside, timeout=self.delete_timeout_s)

        switch.stop(name, timeout=self.create_timeout_s)
        switch.start(name, timeout=self.create_timeout_s)

        provider.pull(name, inside, str(tmp_path / "again"), timeout=self.delete_timeout_s)
        assert (tmp_path / "again").read_text() == "content"

    @may
    def test_no_other_machine_starts_or_stops(
        self, switch: StartsAndStops, machines: ContractMachines, name: str
    ) -> None:
        """Of all machines, only the one that is called so is started or stopped."""
        other = machines.create().name

        switch.stop(name, timeout=self.create_timeout_s)
        first = _state(machines, other)
        switch.stop(other, timeout=self.create_timeout_s)
        switch.start(name, timeout=self.create_timeout_s)

        assert (first, _state(machines, other)) == (MachineState.RUNNING, MachineState.STOPPED)

    @may
    def test_start_may_be_repeated(
        self, switch: StartsAndStops, machines: ContractMachines, name: str
    ) -> None:
        """A machine that runs is left alone."""
        for _ in range(2):
            switch.start(name, timeout=self.create_timeout_s)

        assert _state(machines, name) is MachineState.RUNNING

    @may
    def test_absent_machines_neither_start_nor_stop(
        self, switch: StartsAndStops, machines: ContractMachines
    ) -> None:
        """ProviderError: the machine isn't there."""
        for verb in (switch.stop, switch.start):
            with pytest.raises(ProviderError):
                verb(machines.new_name(), timeout=self.delete_timeout_s)


def _state(machines: ContractMachines, name: str) -> MachineState | None:
    listed = machines.listed(name)
    return listed.state if listed else None
