"""The conformance kit's checks of delete; each docstring is the sentence of the contract that it proves."""

# ruff: noqa: S101 - asserts are what the kit is made of

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest

from vmharness.provider import Provider
from vmharness.testing._contract_base import Contract
from vmharness.testing._machines import ContractMachines
from vmharness.testing._names import mistakable

__all__ = ["DeleteContract"]


class DeleteContract(Contract):
    """What delete promises."""

    verb = "delete"

    def test_deleted_machine_is_gone(self, machines: ContractMachines) -> None:
        """A running machine is gone when delete returns."""
        name = machines.new_name()
        machines.create(name)

        machines.delete(name)

        assert machines.listed(name) is None, "it is still listed"

    def test_delete_deletes_no_other_machine(self, machines: ContractMachines) -> None:
        """Delete takes the machine of that name, and no other one."""
        name, like = machines.new_name(), machines.new_name()
        machines.create(name)
        machines.create(like)

        machines.delete(name)

        assert machines.listed(like) is not None, f"delete of {name!r} deleted {like!r}, too"

    def test_look_alikes_are_left_alone(self, provider: Provider, machines: ContractMachines) -> None:
        """A name means the machine that is called so, and none whose name is only like it."""
        name, other = machines.new_name(), machines.new_name()
        machines.create(name)
        machines.create(other)

        for like in mistakable(name, other):
            if like not in machines.strangers:
                provider.delete(like, timeout=self.delete_timeout_s)
                left = {info.name for info in provider.list()}
                assert {name, other} <= left, f"delete of {like!r} deleted {name!r} or {other!r}"

    def test_delete_may_be_repeated(self, provider: Provider, machines: ContractMachines) -> None:
        """A machine that was deleted is absent, and deleting it again is a success."""
        name = machines.new_name()
        machines.create(name)
        machines.delete(name)

        provider.delete(name, timeout=self.delete_timeout_s)

    def test_delete_of_absent_machine_is_silent(self, provider: Provider, machines: ContractMachines) -> None:
        """One that never was is absent as well, and deleting it is a success."""
        name = machines.new_name()

        for _ in range(2):
            provider.delete(name, timeout=self.delete_timeout_s)

    def test_delete_of_hostile_names_is_silent(self, provider: Provider, machines: ContractMachines) -> None:
        """A name that the engine can't have is absent, and deleting it is a success."""
        for name in self.hostile_names:
            if name not in machines.strangers:
                provider.delete(name, timeout=self.delete_timeout_s)

    def test_delete_of_hostile_names_deletes_nothing(
        self, provider: Provider, machines: ContractMachines
    ) -> None:
        """A name is never read as an option or a pattern."""
        bystander = machines.new_name()
        machines.create(bystander)

        for name in self.hostile_names:
            if name not in machines.strangers:
                with suppress(Exception):  # the check before this one says that it mustn't be
                    provider.delete(name, timeout=self.delete_timeout_s)
                assert machines.listed(bystander) is not None, f"delete of {name!r} deleted {bystander!r}"

    def test_stopped_machine_can_be_deleted(
        self, machines: ContractMachines, stop: Callable[[str], None] | None
    ) -> None:
        """A machine is deleted, running or not."""
        if stop is None:
            pytest.skip("the provider stops no machines, and the test gives no fixture 'stop'")
        name = machines.new_name()
        machines.create(name)
        stop(name)

        machines.delete(name)

        assert machines.listed(name) is None, f"delete of {name!r}, which was stopped, left it there"
