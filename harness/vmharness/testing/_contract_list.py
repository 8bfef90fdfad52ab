"""The conformance kit's checks of list; each docstring is the sentence of the contract that it proves."""

# ruff: noqa: S101 - asserts are what the kit is made of

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest

from vmharness.provider import MachineInfo, MachineState, Provider
from vmharness.testing._contract_base import Contract
from vmharness.testing._machines import ContractMachines

__all__ = ["ListContract"]


class ListContract(Contract):
    """What list promises."""

    verb = "list"

    def test_list_has_machines_without_labels_of_ours(self, machines: ContractMachines) -> None:
        """All machines are listed, strangers' too."""
        name = machines.new_name()

        machines.create(name, labels={})

        assert machines.listed(name) is not None

    def test_list_has_stopped_machines(
        self, machines: ContractMachines, stop: Callable[[str], None] | None
    ) -> None:
        """All machines are listed, stopped ones too, as what they are."""
        if stop is None:
            pytest.skip("the provider stops no machines, and the test gives no fixture 'stop'")
        name = machines.new_name()
        machines.create(name)

        stop(name)

        listed = machines.listed(name)
        assert listed is not None, "the stopped machine isn't listed"
        assert listed.state is MachineState.STOPPED

    def test_list_changes_nothing(self, machines: ContractMachines) -> None:
        """A listing may be repeated, and says the same again."""
        name = machines.new_name()
        machines.create(name)

        assert machines.listed_but_address(name) == machines.listed_but_address(name)

    def test_list_gives_values(self, provider: Provider, machines: ContractMachines) -> None:
        """A listing is a sequence of MachineInfo, whose parts are of the types that they say."""
        name = machines.new_name()
        machines.create(name)

        listing = provider.list()

        assert isinstance(listing, Sequence)
        for info in listing:
            assert isinstance(info, MachineInfo)
            assert isinstance(info.name, str)
            assert isinstance(info.state, MachineState), f"state is {info.state!r}"
            assert info.created_at is None or isinstance(info.created_at, float | int)
            assert info.labels is None or isinstance(info.labels, Mapping)
            assert isinstance(info.address, str)
