"""The conformance kit's checks of the endpoint and of what a second provider sees; it knows no capability."""

# ruff: noqa: S101 - asserts are what the kit is made of

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from vmharness.errors import EngineUnavailable
from vmharness.provider import Connect, Provider
from vmharness.testing._contract_base import Contract
from vmharness.testing._machines import ContractMachines

__all__ = ["EndpointContract"]

# Where programs look for what they work on, if nothing else says.
_VARIABLES: Final = ("HOME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")


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

    def test_endpoint_needs_no_environment(
        self,
        provider: Provider,
        machines: ContractMachines,
        connect: Connect | None,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """The endpoint opens that same engine whatever folder and environment the process has by then."""
        _again(provider, connect)
        name = machines.new_name()
        machines.create(name)

        monkeypatch.chdir(tmp_path)
        for variable in _VARIABLES:
            monkeypatch.setenv(variable, str(tmp_path))

        assert machines.listed(name) is not None, "the provider that made it doesn't list it"
        try:
            seen = {info.name for info in _again(provider, connect).list()}
        except EngineUnavailable:
            return  # it doesn't find its engine there, and says so
        assert name in seen, "another engine was opened"

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
