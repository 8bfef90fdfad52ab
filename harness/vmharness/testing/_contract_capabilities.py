"""The conformance kit's checks of the small capabilities; each docstring is what it proves."""

# ruff: noqa: S101 - asserts are what the kit is made of

from __future__ import annotations

import subprocess

import pytest

from vmharness.provider import Describes, Inspects, ListsImages, Provider, Settles, ShowsDelete
from vmharness.testing._contract_base import Contract
from vmharness.testing._machines import ContractMachines

__all__ = ["CapabilityContract"]


class CapabilityContract(Contract):
    """What inspect, describe, images, settle_s and delete_argv promise."""

    def test_inspect_agrees_with_the_listing(self, provider: Provider, machines: ContractMachines) -> None:
        """Inspect tells of a machine what the listing does, but more exactly when it was made."""
        if not isinstance(provider, Inspects):
            pytest.skip("the provider inspects no machines")
        name = machines.create().name

        info = provider.inspect(name)

        listed = machines.listed(name)
        assert info is not None
        assert listed is not None
        assert (info.name, info.state, info.labels) == (name, listed.state, listed.labels)
        if info.created_at is not None and listed.created_at is not None:
            assert abs(info.created_at - listed.created_at) <= listed.created_resolution + 0.001

    def test_inspect_of_absent_machines_is_none(self, provider: Provider, machines: ContractMachines) -> None:
        """None: the machine is surely absent, as one whose name the engine can't have."""
        if not isinstance(provider, Inspects):
            pytest.skip("the provider inspects no machines")
        name = machines.create().name

        assert provider.inspect(name[:-1]) is None
        assert [hostile for hostile in self.hostile_names if provider.inspect(hostile)] == []

    def test_engine_describes_itself(self, provider: Provider) -> None:
        """The engine's name and version are one line of text."""
        if not isinstance(provider, Describes):
            pytest.skip("the provider doesn't describe its engine")

        assert len(provider.describe().splitlines()) == 1

    def test_images_have_names(self, provider: Provider) -> None:
        """The images that the engine has at hand are given by name."""
        if not isinstance(provider, ListsImages):
            pytest.skip("the provider lists no images")

        assert all(provider.images())

    def test_settling_takes_a_while(self, provider: Provider) -> None:
        """Settling time is a number of seconds, 0 or more."""
        if not isinstance(provider, Settles):
            pytest.skip("the provider doesn't say how long a create may settle")

        assert provider.settle_s >= 0

    def test_shown_command_deletes_the_machine(self, provider: Provider, machines: ContractMachines) -> None:
        """The engine's own command that is shown to people deletes the machine, and asks nothing."""
        if not isinstance(provider, ShowsDelete):
            pytest.skip("the provider shows no command")
        name = machines.create().name

        argv = provider.delete_argv(name)

        assert machines.listed(name) is not None
        subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, timeout=self.delete_timeout_s)
        assert machines.listed(name) is None
