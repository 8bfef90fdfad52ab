"""The conformance kit's check of the interface, without which nothing else is checked."""

from __future__ import annotations

import pytest

from vmharness.provider import Provider
from vmharness.testing._contract_base import Contract
from vmharness.testing._interface import misfits

__all__ = ["InterfaceContract"]


class InterfaceContract(Contract):
    """What a provider is, before anything is asked of its engine."""

    verb = "interface"

    def test_provider_has_the_interface(self, provider: Provider) -> None:
        """The entry point gives an object with the endpoint, and verbs to be called as the interface says."""
        if faults := misfits(provider):
            pytest.fail("\n".join(faults), pytrace=False)
