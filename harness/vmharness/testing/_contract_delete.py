"""The conformance kit's checks of delete; each docstring is the sentence of the contract that it proves."""

# ruff: noqa: S101 - asserts are what the kit is made of

from __future__ import annotations

from collections.abc import Callable

import pytest

from vmharness.provider import Provider
from vmharness.testing._contract_base import Contract
from vmharness.testing._machines import ContractMachines

__all__ = ["DeleteContract"]


class DeleteContract(Contract):
    """What delete promises."""

    def test_deleted_machine_is_gone(self, provider: Provider, machines: ContractMachines) -> None:
        """A running machine is gone when delete returns, and no other one is."""
        other = machines.create().name
        name = machines.create().name

        machines.delete(name)

        assert machines.listed(name) is None
        assert provider.exists(name) is False
        assert machines.listed(other) is not None

    def test_delete_may_be_repeated(self, provider: Provider, machines: ContractMachines) -> None:
        """An absent machine is a success."""
        name = machines.create().name
        machines.delete(name)

        provider.delete(name, timeout=self.delete_timeout_s)

    def test_delete_of_absent_machine_is_silent(self, provider: Provider, machines: ContractMachines) -> None:
        """One that never was, is absent as well."""
        provider.delete(machines.new_name(), timeout=self.delete_timeout_s)

    def test_delete_of_hostile_names_is_silent(self, provider: Provider, machines: ContractMachines) -> None:
        """A name that the engine can't have is absent, and never read as an option or a pattern."""
        bystander = machines.create().name

        for name in self.hostile_names:
            provider.delete(name, timeout=self.delete_timeout_s)

        assert machines.listed(bystander) is not None

    def test_stopped_machine_can_be_deleted(
        self, machines: ContractMachines, stop: Callable[[str], None] | None
    ) -> None:
        """A machine is deleted, running or not."""
        if stop is None:
            pytest.skip("the test gives no fixture 'stop'")
        name = machines.create().name
        stop(name)

        machines.delete(name)

        assert machines.listed(name) is None
