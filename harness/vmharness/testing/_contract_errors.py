"""The conformance kit's checks of the errors themselves; each docstring is what it proves."""

# ruff: noqa: S101, S301 - asserts are what the kit is made of, and what is unpickled was made here

from __future__ import annotations

import pickle
import secrets
from collections.abc import Callable, Sequence

import pytest

from vmharness.errors import CreateFailed, NameTaken, ProviderError
from vmharness.provider import Provider
from vmharness.testing._contract_base import Contract
from vmharness.testing._levels import should
from vmharness.testing._machines import ContractMachines

__all__ = ["ErrorContract"]


class ErrorContract(Contract):
    """What errors promise, whoever raises them."""

    verb = "errors"

    @pytest.fixture
    def raised(self, machines: ContractMachines, unreachable: Provider | None) -> Sequence[ProviderError]:
        """Return errors that the provider raises: each that can be caused."""
        name = machines.new_name()
        machines.create(name)
        causes: list[Callable[[], object]] = [
            lambda: machines.create(name),
            lambda: machines.create(image=f"no-such-image-{secrets.token_hex(6)}:1"),
        ]
        if unreachable is not None:
            causes.append(unreachable.list)
        return [error for error in map(_caught, causes) if isinstance(error, ProviderError)]

    def test_errors_pickle(self, raised: Sequence[ProviderError]) -> None:
        """All errors pickle, so that they cross process borders with what they say."""
        for error in raised:
            again = pickle.loads(pickle.dumps(error))

            assert type(again) is type(error)
            assert str(again) == str(error)
            assert (again.backend, again.machine, again.retryable) == (
                error.backend,
                error.machine,
                error.retryable,
            )

    @should
    def test_errors_say_what_they_are_about(self, raised: Sequence[ProviderError]) -> None:
        """An error has the names of the backend and of the machine, and a message with the machine's name."""
        creates = [error for error in raised if isinstance(error, NameTaken | CreateFailed)]

        for error in raised:
            assert error.backend, f"no backend is named by {error!r}"
        for error in creates:
            assert error.machine, f"no machine is named by {error!r}"
            assert error.machine in str(error)


def _caught(cause: Callable[[], object]) -> Exception | None:
    try:
        cause()
    except Exception as exc:
        return exc
    return None
