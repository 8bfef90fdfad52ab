"""The conformance kit's checks of rename; each docstring is the sentence of the contract that it proves."""

# ruff: noqa: S101 - asserts are what the kit is made of

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from vmharness.errors import NameTaken, ProviderError
from vmharness.provider import CopiesFiles, Provider, Renames
from vmharness.testing._contract_base import Contract
from vmharness.testing._contract_files import path_inside
from vmharness.testing._levels import may
from vmharness.testing._machines import ContractMachines

__all__ = ["RenameContract"]

_TIMEOUT_S: Final = 60.0


class RenameContract(Contract):
    """What the capability Renames promises."""

    verb = "rename"

    @pytest.fixture
    def renamer(self, provider: Provider) -> Renames:
        """Return the provider as one that renames machines."""
        if not isinstance(provider, Renames):
            pytest.skip("the provider renames no machines")
        return provider

    @pytest.fixture
    def old(self, renamer: Renames, machines: ContractMachines) -> str:
        """Return the name of a running machine, which has a label where there are any."""
        name = machines.new_name()
        machines.create(name)
        return name

    @may
    def test_a_renamed_machine_is_as_it_was(
        self, renamer: Renames, machines: ContractMachines, old: str
    ) -> None:
        """On return the machine has its new name, and is else as it was; one that ran runs."""
        before, new = machines.listed_but_address(old), machines.new_name()
        assert before is not None

        renamer.rename(old, new, timeout=self.create_timeout_s)

        assert machines.listed_but_address(new) == replace(before, name=new)

    @may
    def test_a_renamed_machine_has_its_old_name_no_more(
        self, renamer: Renames, machines: ContractMachines, old: str
    ) -> None:
        """The machine isn't listed under its old name."""
        new = machines.new_name()

        renamer.rename(old, new, timeout=self.create_timeout_s)

        assert machines.listed(old) is None

    @may
    def test_a_renamed_machine_has_its_files(
        self, provider: Provider, renamer: Renames, machines: ContractMachines, old: str, tmp_path: Path
    ) -> None:
        """The machine is the same under its new name, files above all."""
        if not isinstance(provider, CopiesFiles):
            pytest.skip("the provider copies no files, by which it could be seen")
        new, inside, file = machines.new_name(), path_inside(lasting=True), tmp_path / "file"
        file.write_text("content")
        provider.push(old, str(file), inside, timeout=_TIMEOUT_S)

        renamer.rename(old, new, timeout=self.create_timeout_s)

        provider.pull(new, inside, str(tmp_path / "again"), timeout=_TIMEOUT_S)
        assert (tmp_path / "again").read_text() == "content"

    @may
    def test_a_taken_name_is_not_given_again(
        self, renamer: Renames, machines: ContractMachines, old: str
    ) -> None:
        """NameTaken: there is a machine of the new name; nothing was changed."""
        taken = machines.new_name()
        machines.create(taken)
        before = [machines.listed_but_address(name) for name in (old, taken)]

        with pytest.raises(NameTaken):
            renamer.rename(old, taken, timeout=self.create_timeout_s)

        assert [machines.listed_but_address(name) for name in (old, taken)] == before

    @may
    def test_absent_machines_are_not_renamed(self, renamer: Renames, machines: ContractMachines) -> None:
        """ProviderError: the machine isn't there."""
        absent, new = machines.new_name(), machines.new_name()

        with pytest.raises(ProviderError):
            renamer.rename(absent, new, timeout=self.create_timeout_s)

        assert machines.listed(new) is None
