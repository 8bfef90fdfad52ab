"""Backends that are wrong, each in one place, and the kit's class for each of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import pytest

from vmharness.provider import Connect, Provider
from vmharness.testing import FakeClock, ProviderContract
from vmharness_fake import Fault, Faults, MemoryStore
from wrong_backends.right import Right, RightUnlabelled

__all__ = ["Kind", "WrongContract"]

Kind = type[Right] | type[RightUnlabelled]


class WrongContract(ProviderContract):
    """The kit for a backend in memory."""

    kind: Kind = Right
    image = "fake:tiny"
    hostile_names = (*ProviderContract.hostile_names, "a-", "A", "a.b", "a_b", "a" * 64)

    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    @pytest.fixture
    def connect(self, clock: FakeClock) -> Connect:
        return lambda endpoint=None: self.kind.connect(endpoint, clock)

    @pytest.fixture
    def slow(self, provider: Provider) -> Callable[[Literal["create", "delete"], float], None]:
        assert isinstance(provider, Right | RightUnlabelled)
        store = provider.store

        def slow(verb: Literal["create", "delete"], seconds: float) -> None:
            store.set_faults(Faults((Fault(verb, "slow", seconds=seconds),)))

        return slow

    @pytest.fixture
    def unreachable(self, clock: FakeClock) -> Provider:
        provider = self.kind(MemoryStore(), clock=clock.time, sleep=clock.sleep)
        provider.store.set_faults(Faults((Fault("*", "unavailable"),)))
        return provider
