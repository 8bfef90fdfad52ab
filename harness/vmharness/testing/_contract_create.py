"""The conformance kit's checks of create; each docstring is the sentence of the contract that it proves."""

# ruff: noqa: S101 - asserts are what the kit is made of

from __future__ import annotations

import secrets
import time

import pytest

from vmharness.errors import CreateFailed, NameTaken
from vmharness.provider import (
    LABEL_SESSION,
    LABEL_TEST,
    LABEL_TOKEN,
    Inspects,
    MachineState,
    Provider,
    TakesLabels,
)
from vmharness.testing._contract_base import Contract
from vmharness.testing._machines import ContractMachines

__all__ = ["CreateContract"]


class CreateContract(Contract):
    """What create promises."""

    def test_create_returns_a_running_machine_of_that_name(self, machines: ContractMachines) -> None:
        """The name is used unchanged, and the machine runs and is listed when create returns."""
        name = machines.new_name()

        info = machines.create(name)

        assert info.name == name
        assert info.state is MachineState.RUNNING
        listed = machines.listed(name)
        assert listed is not None
        assert listed.state is MachineState.RUNNING

    def test_labels_are_listed_with_the_machine(self, provider: Provider, machines: ContractMachines) -> None:
        """Labels are put on the machine in the create call, and listed with it unchanged."""
        if not isinstance(provider, TakesLabels):
            pytest.skip("the provider takes no labels")
        labels = {
            LABEL_TOKEN: secrets.token_hex(16),
            LABEL_SESSION: "x" * provider.label_length,
            LABEL_TEST: "tests/a b.py::Test::test_c[d=1, 'e';f]"[: provider.label_length],
        }

        name = machines.create(labels=labels).name

        listed = machines.listed(name)
        assert listed is not None
        assert listed.labels is not None
        assert labels.items() <= dict(listed.labels).items()

    def test_unlabelled_engines_list_no_labels(self, provider: Provider, machines: ContractMachines) -> None:
        """Labels are None, not empty, on engines that have none: nothing can be proved by their absence."""
        if isinstance(provider, TakesLabels):
            pytest.skip("the provider takes labels")

        name = machines.create().name

        listed = machines.listed(name)
        assert listed is not None
        assert listed.labels is None

    def test_time_of_creation_is_that_of_the_create_call(
        self, provider: Provider, machines: ContractMachines
    ) -> None:
        """`created_at` is when the machine was made; engines without labels must know it."""
        before = time.time()

        name = machines.create().name

        after = time.time()
        info = provider.inspect(name) if isinstance(provider, Inspects) else machines.listed(name)
        assert info is not None
        if info.created_at is None and isinstance(provider, TakesLabels):
            pytest.skip("the engine doesn't know when a machine was made")
        assert info.created_at is not None
        assert info.created_at <= after + self.clock_skew_s
        assert info.created_at + info.created_resolution >= before - self.clock_skew_s

    def test_create_of_a_taken_name_leaves_the_other_machine_alone(
        self, provider: Provider, machines: ContractMachines
    ) -> None:
        """NameTaken: a machine of that name was there before, and it is untouched."""
        labels = {LABEL_TOKEN: secrets.token_hex(16)} if isinstance(provider, TakesLabels) else {}
        name = machines.create(labels=labels).name
        before = machines.listed_but_address(name)

        with pytest.raises(NameTaken):
            machines.create(name)

        assert machines.listed_but_address(name) == before

    def test_create_of_an_unknown_image_makes_nothing(
        self, provider: Provider, machines: ContractMachines
    ) -> None:
        """CreateFailed: surely no machine was or will be made."""
        name = machines.new_name()

        with pytest.raises(CreateFailed):
            machines.create(name, image=f"no-such-image-{secrets.token_hex(6)}:1")

        assert machines.listed(name) is None
        assert provider.exists(name) is False

    def test_hostile_names_make_nothing(self, provider: Provider, machines: ContractMachines) -> None:
        """A name that the engine can't have is CreateFailed: never mended, nor read as an option."""
        token = secrets.token_hex(16)
        labels = {LABEL_TOKEN: token} if isinstance(provider, TakesLabels) else {}

        for name in self.hostile_names:
            with pytest.raises(CreateFailed):
                machines.create(name, labels=labels)

        listing = provider.list()
        made = [info for info in listing if token in (info.labels or {}).values()]
        for info in made:
            machines.delete(info.name)
        assert made == []
        assert not {info.name for info in listing} & set(self.hostile_names)

    def test_name_of_a_deleted_machine_is_free(self, machines: ContractMachines) -> None:
        """Once delete has returned, the name can be used again."""
        name = machines.create().name
        machines.delete(name)

        assert machines.create(name).state is MachineState.RUNNING
