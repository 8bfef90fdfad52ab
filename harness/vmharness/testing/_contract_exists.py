"""The conformance kit's checks of exists; each docstring is the sentence of the contract that it proves."""

# ruff: noqa: S101 - asserts are what the kit is made of

from __future__ import annotations

from collections.abc import Callable

import pytest

from vmharness.provider import Provider
from vmharness.testing._contract_base import Contract
from vmharness.testing._machines import ContractMachines
from vmharness.testing._names import mistakable

__all__ = ["ExistsContract"]


class ExistsContract(Contract):
    """What exists promises."""

    verb = "exists"

    def test_a_machine_that_is_there_exists(self, provider: Provider, machines: ContractMachines) -> None:
        """Exists is True for a machine that is there, each time."""
        name = machines.new_name()

        machines.create(name)

        assert [provider.exists(name), provider.exists(name)] == [True, True]

    def test_a_machine_that_never_was_is_absent(self, provider: Provider, machines: ContractMachines) -> None:
        """Exists is False for a machine that surely isn't there, each time."""
        name = machines.new_name()

        assert [provider.exists(name), provider.exists(name)] == [False, False]

    def test_a_deleted_machine_is_absent(self, provider: Provider, machines: ContractMachines) -> None:
        """Exists is False once delete has returned."""
        name = machines.new_name()
        machines.create(name)

        machines.delete(name)

        assert provider.exists(name) is False

    def test_a_stopped_machine_exists(
        self, provider: Provider, machines: ContractMachines, stop: Callable[[str], None] | None
    ) -> None:
        """Exists is True for a machine in any state."""
        if stop is None:
            pytest.skip("the provider stops no machines, and the test gives no fixture 'stop'")
        name = machines.new_name()
        machines.create(name)

        stop(name)

        assert provider.exists(name) is True, "a stopped machine is there all the same"

    def test_part_of_a_name_is_absent(self, provider: Provider, machines: ContractMachines) -> None:
        """A name means the machine that is called so, and none whose name is only like it."""
        name, other = machines.new_name(), machines.new_name()
        machines.create(name)
        machines.create(other)

        names = [like for like in mistakable(name, other) if like not in machines.strangers]

        assert [like for like in names if provider.exists(like) is not False] == [], (
            f"taken for {name!r} or {other!r}"
        )

    def test_hostile_names_are_absent(self, provider: Provider, machines: ContractMachines) -> None:
        """A name that the engine can't have is absent, and never read as an option or a pattern."""
        machines.create()

        assert [name for name in self.hostile_names if provider.exists(name)] == []
