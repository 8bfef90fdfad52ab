"""The conformance kit's checks of clone; each docstring is the sentence of the contract that it proves."""

# ruff: noqa: S101 - asserts are what the kit is made of

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from vmharness.errors import CreateFailed, NameTaken, ProviderError
from vmharness.provider import (
    LABEL_SESSION,
    LABEL_TEST,
    Clones,
    CopiesFiles,
    MachineState,
    Provider,
    Spec,
    TakesLabels,
)
from vmharness.testing._contract_base import Contract
from vmharness.testing._contract_files import path_inside
from vmharness.testing._levels import may
from vmharness.testing._machines import ContractMachines

__all__ = ["CloneContract"]

_TIMEOUT_S: Final = 60.0


class CloneContract(Contract):
    """What the capability Clones promises."""

    verb = "clone"

    @pytest.fixture
    def cloner(self, provider: Provider) -> Clones:
        """Return the provider as one that clones machines."""
        if not isinstance(provider, Clones):
            pytest.skip("the provider clones no machines")
        return provider

    @pytest.fixture
    def source(self, cloner: Clones, machines: ContractMachines) -> str:
        """Return the name of a machine to clone, which has a label where there are any."""
        name = machines.new_name()
        machines.create(name, labels={LABEL_SESSION: "old", LABEL_TEST: "old"})
        return name

    @may
    def test_a_clone_runs(self, cloner: Clones, machines: ContractMachines, source: str) -> None:
        """A clone is a running machine of the name that was asked for, listed when clone returns."""
        name = machines.new_name()

        info = cloner.clone(source, Spec(name=name), timeout=self.create_timeout_s)

        machines.adopt(info)
        listed = machines.listed(name)
        assert (info.name, info.state) == (name, MachineState.RUNNING)
        assert listed is not None
        assert listed.state is MachineState.RUNNING

    @may
    def test_the_source_is_left_as_it_was(
        self, cloner: Clones, machines: ContractMachines, source: str
    ) -> None:
        """The source is left as it was."""
        before = machines.listed_but_address(source)

        cloner.clone(
            source,
            Spec(name=machines.new_name(), labels={LABEL_SESSION: "new"}),
            timeout=self.create_timeout_s,
        )

        assert machines.listed_but_address(source) == before

    @may
    def test_a_clone_has_its_own_labels(
        self, provider: Provider, cloner: Clones, machines: ContractMachines, source: str
    ) -> None:
        """A clone has the labels that were asked for, in place of all of its source's."""
        if not isinstance(provider, TakesLabels):
            pytest.skip("the provider takes no labels")
        name = machines.new_name()

        cloner.clone(source, Spec(name=name, labels={LABEL_SESSION: "new"}), timeout=self.create_timeout_s)

        listed = machines.listed(name)
        assert listed is not None
        labels = listed.labels or {}
        assert (labels.get(LABEL_SESSION), labels.get(LABEL_TEST)) == ("new", None)

    @may
    def test_a_clone_has_its_sources_files(
        self, provider: Provider, cloner: Clones, machines: ContractMachines, source: str, tmp_path: Path
    ) -> None:
        """All else is as in the source, files above all."""
        if not isinstance(provider, CopiesFiles):
            pytest.skip("the provider copies no files, by which it could be seen")
        name, inside, file = machines.new_name(), path_inside(lasting=True), tmp_path / "file"
        file.write_text("content")
        provider.push(source, str(file), inside, timeout=_TIMEOUT_S)

        cloner.clone(source, Spec(name=name), timeout=self.create_timeout_s)

        provider.pull(name, inside, str(tmp_path / "again"), timeout=_TIMEOUT_S)
        assert (tmp_path / "again").read_text() == "content"

    @may
    def test_a_clone_is_a_machine_of_its_own(
        self, provider: Provider, cloner: Clones, machines: ContractMachines, source: str, tmp_path: Path
    ) -> None:
        """What is done to a clone isn't done to its source, and it lives on without it."""
        name, inside, file = machines.new_name(), path_inside(lasting=True), tmp_path / "file"
        cloner.clone(source, Spec(name=name), timeout=self.create_timeout_s)

        if isinstance(provider, CopiesFiles):
            file.write_text("content")
            provider.push(name, str(file), inside, timeout=_TIMEOUT_S)
            with pytest.raises(ProviderError):
                provider.pull(source, inside, str(tmp_path / "again"), timeout=_TIMEOUT_S)
        machines.delete(source)

        assert (machines.listed(source), machines.listed(name) is None) == (None, False)

    @may
    def test_a_clone_under_a_taken_name_is_refused(
        self, cloner: Clones, machines: ContractMachines, source: str
    ) -> None:
        """NameTaken: a machine of that name was there, and it is untouched."""
        taken = machines.new_name()
        machines.create(taken)
        before = machines.listed_but_address(taken)

        with pytest.raises(NameTaken):
            cloner.clone(source, Spec(name=taken), timeout=self.create_timeout_s)

        assert machines.listed_but_address(taken) == before

    @may
    def test_a_clone_of_nothing_fails(self, cloner: Clones, machines: ContractMachines) -> None:
        """CreateFailed: there is no such source, and surely no machine was made."""
        absent, name = machines.new_name(), machines.new_name()

        with pytest.raises(CreateFailed):
            cloner.clone(absent, Spec(name=name), timeout=self.create_timeout_s)

        assert machines.listed(name) is None
