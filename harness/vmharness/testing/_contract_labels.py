"""The conformance kit's checks of labels; each docstring is the sentence of the contract that it proves."""

# ruff: noqa: S101 - asserts are what the kit is made of

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping

import pytest

from vmharness._threads import start_thread
from vmharness.provider import (
    LABEL_EXPIRES,
    LABEL_HOST,
    LABEL_NAME,
    LABEL_SESSION,
    LABEL_TEST,
    LABEL_TOKEN,
    Provider,
    TakesLabels,
)
from vmharness.testing._contract_base import Contract
from vmharness.testing._levels import may
from vmharness.testing._machines import ContractMachines

__all__ = ["LabelContract"]

_PATIENCE_S = 60.0


class LabelContract(Contract):
    """What the capability TakesLabels promises, and its absence."""

    verb = "labels"

    def _labels(self, provider: TakesLabels) -> Mapping[str, str]:
        return {
            LABEL_TOKEN: secrets.token_hex(16),
            LABEL_SESSION: "x" * provider.label_length,
            LABEL_TEST: "tests/a b.py::Test::test_ä[C=1, 'e';f]"[: provider.label_length],
            LABEL_HOST: "Host",
            LABEL_NAME: "web",
            LABEL_EXPIRES: "1767225600",
        }

    @may
    def test_labels_are_listed_with_the_machine(self, provider: Provider, machines: ContractMachines) -> None:
        """Labels are listed with the machine, each value unchanged, up to the longest that there may be."""
        if not isinstance(provider, TakesLabels):
            pytest.skip("the provider takes no labels")
        name, labels = machines.new_name(), self._labels(provider)

        machines.create(name, labels=labels)

        listed = machines.listed(name)
        assert listed is not None
        assert listed.labels is not None
        wrong = {
            key: (value, listed.labels.get(key))
            for key, value in labels.items()
            if listed.labels.get(key) != value
        }
        assert wrong == {}, "these labels are listed otherwise than create was asked for: (asked, given)"

    @may
    def test_labels_are_there_from_the_start(self, provider: Provider, machines: ContractMachines) -> None:
        """Labels are put on the machine in the create call: no listing ever has it without them."""
        if not isinstance(provider, TakesLabels):
            pytest.skip("the provider takes no labels")
        name, labels = machines.new_name(), {LABEL_TOKEN: secrets.token_hex(16)}
        looks, over, watched = list[Mapping[str, str]](), threading.Event(), threading.Event()

        def watch() -> None:
            try:
                last = False
                while not last:
                    last = over.is_set()  # so that a create which is over at once is looked at as well
                    looks.extend(info.labels or {} for info in provider.list() if info.name == name)
            finally:
                watched.set()

        start_thread("conformance-watch", watch)
        try:
            machines.create(name, labels=labels)
        finally:
            over.set()
        assert watched.wait(_PATIENCE_S), "a listing doesn't end"
        assert [look for look in looks if look.get(LABEL_TOKEN) != labels[LABEL_TOKEN]] == []

    @may
    def test_label_length_is_of_use(self, provider: Provider) -> None:
        """A label's longest value holds the 32 characters of a token."""
        if not isinstance(provider, TakesLabels):
            pytest.skip("the provider takes no labels")

        assert provider.label_length >= 32

    def test_unlabelled_machines_of_a_labelled_engine_have_none(
        self, provider: Provider, machines: ContractMachines
    ) -> None:
        """A machine for which no labels were asked lists none of vmharness: it is a stranger's."""
        if not isinstance(provider, TakesLabels):
            pytest.skip("the provider takes no labels")
        machines.create()
        name = machines.new_name()

        machines.create(name, labels={})

        listed = machines.listed(name)
        assert listed is not None
        assert listed.labels is not None, "None says that the engine has no labels at all"
        assert LABEL_TOKEN not in listed.labels

    def test_unlabelled_engines_list_no_labels(self, provider: Provider, machines: ContractMachines) -> None:
        """Labels are None, not empty, on engines that have none: nothing can be proved by their absence."""
        if isinstance(provider, TakesLabels):
            pytest.skip("the provider takes labels")
        name = machines.new_name()

        machines.create(name)

        listed = machines.listed(name)
        assert listed is not None
        assert listed.labels is None
