"""The conformance kit's checks of a provider whose engine does not answer; docstrings are what it proves."""

# ruff: noqa: S101 - asserts are what the kit is made of

from __future__ import annotations

import secrets

import pytest

from vmharness.errors import Busy, CreateFailed, CreateUnsettled, DeleteFailed, EngineUnavailable
from vmharness.provider import Describes, Inspects, Provider, Spec
from vmharness.testing._contract_base import Contract
from vmharness.testing._levels import may, should

__all__ = ["UnavailableContract"]

_TIMEOUT_S = 10.0


class UnavailableContract(Contract):
    """What a provider promises whose engine doesn't answer."""

    verb = "unavailable"

    @pytest.fixture
    def silent(self, unreachable: Provider | None) -> Provider:
        """Return a provider whose engine doesn't answer."""
        if unreachable is None:
            pytest.skip("the test gives no fixture 'unreachable'")
        return unreachable

    def test_list_is_never_empty_because_nobody_answered(self, silent: Provider) -> None:
        """EngineUnavailable: the engine gave no complete answer, which is never an empty one."""
        for _ in range(2):
            with pytest.raises(EngineUnavailable):
                silent.list()

    def test_exists_is_never_false_because_nobody_answered(self, silent: Provider) -> None:
        """EngineUnavailable: it is not known whether the machine is there."""
        for _ in range(2):
            with pytest.raises(EngineUnavailable):
                silent.exists(_name())

    def test_delete_is_no_success_because_nobody_answered(self, silent: Provider) -> None:
        """EngineUnavailable, DeleteFailed or Busy: the machine may still be there."""
        for _ in range(2):
            with pytest.raises((EngineUnavailable, DeleteFailed, Busy)):
                silent.delete(_name(), timeout=_TIMEOUT_S)

    def test_create_is_no_success_because_nobody_answered(self, silent: Provider) -> None:
        """CreateFailed or CreateUnsettled: no machine was made, or nobody knows."""
        with pytest.raises((CreateFailed, CreateUnsettled)):
            silent.create(Spec(name=_name(), image=self.image), timeout=_TIMEOUT_S)

    @should
    def test_create_that_asked_nobody_failed(self, silent: Provider) -> None:
        """CreateFailed, when the engine could not be reached at all: then nothing needs to be looked for."""
        with pytest.raises(CreateFailed):
            silent.create(Spec(name=_name(), image=self.image), timeout=_TIMEOUT_S)

    def test_endpoint_asks_nobody(self, silent: Provider) -> None:
        """The endpoint can be read while the engine doesn't answer."""
        assert silent.endpoint == silent.endpoint

    @may
    def test_inspect_is_never_none_because_nobody_answered(self, silent: Provider) -> None:
        """EngineUnavailable from inspect: it is not known whether the machine is there."""
        if not isinstance(silent, Inspects):
            pytest.skip("the provider inspects no machines")

        with pytest.raises(EngineUnavailable):
            silent.inspect(_name())

    @may
    def test_describe_says_that_nobody_answered(self, silent: Provider) -> None:
        """EngineUnavailable from describe: a version is that of an engine that answers."""
        if not isinstance(silent, Describes):
            pytest.skip("the provider doesn't describe its engine")

        with pytest.raises(EngineUnavailable):
            silent.describe()


def _name() -> str:
    return f"conf-{secrets.token_hex(6)}"
