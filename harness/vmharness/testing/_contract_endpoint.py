"""The conformance kit's checks of the endpoint and of what a second provider sees; it knows no capability."""

# ruff: noqa: S101 - asserts are what the kit is made of

from __future__ import annotations

import pytest

from vmharness.provider import Connect, Provider
from vmharness.testing._contract_base import Contract
from vmharness.testing._machines import ContractMachines

__all__ = ["EndpointContract"]


class EndpointContract(Contract):
    """What the endpoint promises, and that a provider keeps no state."""

    verb = "endpoint"

    def test_endpoint_is_a_stable_text(self, provider: Provider) -> None:
        """The endpoint is one line of text that stays the same."""
        first, second = provider.endpoint, provider.endpoint

        assert first == second
        assert isinstance(first, str)
        assert len(first.splitlines()) == 1, f"endpoint is {first!r}"

    def test_endpoint_opens_again(self, provider: Provider, connect: Connect | None) -> None:
        """`connect` opens the endpoint again, and the provider that it gives has the same endpoint."""
        again = _again(provider, connect)

        assert again.endpoint == provider.endpoint

    def test_endpoint_opens_the_same_engine(
        self, provider: Provider, machines: ContractMachines, connect: Connect | None
    ) -> None:
        """Two providers with the same endpoint list the same machines."""
        name = machines.new_name()
        machines.create(name)

        again = _again(provider, connect)

        assert name in {info.name for info in again.list()}

    def test_a_provider_keeps_no_state(
        self, provider: Provider, machines: ContractMachines, connect: Connect | None
    ) -> None:
        """The truth is in the engine: each provider sees at once what another one made, and deleted."""
        other, name = _again(provider, connect), machines.new_name()
        seen: list[tuple[bool, bool]] = []

        def look() -> None:
            seen.append((name in {info.name for info in other.list()}, other.exists(name)))

        look()
        machines.create(name)
        look()
        machines.delete(name)
        look()

        assert seen == [(False, False), (True, True), (False, False)], (
            "(listed, exists) before, during, after"
        )


def _again(provider: Provider, connect: Connect | None) -> Provider:
    if connect is None:
        pytest.skip("the test gives no fixture 'connect'")
    return connect(provider.endpoint)
