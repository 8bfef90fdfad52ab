"""The conformance kit's checks of list, exists and the endpoint; each docstring is what it proves."""

# ruff: noqa: S101 - asserts are what the kit is made of

from __future__ import annotations

from collections.abc import Callable

import pytest

from vmharness.provider import Connect, MachineInfo, MachineState, Provider
from vmharness.testing._contract_base import Contract
from vmharness.testing._machines import ContractMachines

__all__ = ["ListContract"]


class ListContract(Contract):
    """What list, exists and endpoint promise."""

    def test_provider_has_the_interface(self, provider: Provider) -> None:
        """The entry point gives an object with the four verbs and the endpoint."""
        assert isinstance(provider, Provider)

    def test_list_has_machines_without_labels_of_ours(self, machines: ContractMachines) -> None:
        """All machines are listed, strangers' too."""
        name = machines.create(labels={}).name

        listed = machines.listed(name)

        assert isinstance(listed, MachineInfo)

    def test_list_has_stopped_machines(
        self, machines: ContractMachines, stop: Callable[[str], None] | None
    ) -> None:
        """All machines are listed, stopped ones too."""
        if stop is None:
            pytest.skip("the test gives no fixture 'stop'")
        name = machines.create().name

        stop(name)

        listed = machines.listed(name)
        assert listed is not None
        assert listed.state is MachineState.STOPPED

    def test_list_changes_nothing(self, machines: ContractMachines) -> None:
        """A listing may be repeated."""
        name = machines.create().name

        assert machines.listed_but_address(name) == machines.listed_but_address(name)

    def test_exists_follows_create_and_delete(self, provider: Provider, machines: ContractMachines) -> None:
        """Exists is True for a machine that is there, and False for one that surely isn't."""
        name = machines.new_name()

        assert provider.exists(name) is False
        machines.create(name)
        assert provider.exists(name) is True
        machines.delete(name)
        assert provider.exists(name) is False

    def test_part_of_a_name_is_absent(self, provider: Provider, machines: ContractMachines) -> None:
        """A name means the machine that is called so, and none whose name only begins so."""
        name = machines.create().name

        assert provider.exists(name[:-1]) is False
        provider.delete(name[:-1], timeout=self.delete_timeout_s)
        assert provider.exists(name) is True

    def test_hostile_names_are_absent(self, provider: Provider) -> None:
        """A name that the engine can't have is absent, and never read as an option."""
        assert [name for name in self.hostile_names if provider.exists(name)] == []

    def test_endpoint_opens_the_same_engine(
        self, provider: Provider, machines: ContractMachines, connect: Connect | None
    ) -> None:
        """The endpoint is a stable text by which `connect` opens the same engine again."""
        if connect is None:
            pytest.skip("the test gives no fixture 'connect'")
        name = machines.create().name

        again = connect(provider.endpoint)

        assert again.endpoint == provider.endpoint != ""
        assert name in {info.name for info in again.list()}
