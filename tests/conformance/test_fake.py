"""The fake backend keeps the contract: in memory, in a folder, and without labels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from vmharness.provider import Connect, Provider
from vmharness.testing import FakeClock, ProviderContract
from vmharness_fake import FakeProvider, Fault, Faults, MemoryStore, UnlabelledFakeProvider, connect


class FakeContract(ProviderContract):
    image = "fake:tiny"
    hostile_names = (*ProviderContract.hostile_names, "a-", "A", "a.b", "a_b", "a" * 64)

    @pytest.fixture
    def unreachable(self) -> Provider:
        return FakeProvider(MemoryStore(), faults=Faults((Fault("*", "unavailable"),)))


class MemoryContract(FakeContract):
    """On a clock of its own, so that slow engines cost no time."""

    kind: type[UnlabelledFakeProvider]

    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    @pytest.fixture
    def connect(self, clock: FakeClock) -> Connect:
        def connect(endpoint: str | None = None) -> Provider:
            store = MemoryStore() if endpoint is None else MemoryStore.find(endpoint)
            assert store is not None
            return self.kind(store, clock=clock.time, sleep=clock.sleep)

        return connect

    @pytest.fixture
    def slow(self, provider: Provider) -> Callable[[Literal["create", "delete"], float], None]:
        assert isinstance(provider, UnlabelledFakeProvider)
        store = provider.store

        def slow(verb: Literal["create", "delete"], seconds: float) -> None:
            store.set_faults(Faults((Fault(verb, "slow", seconds=seconds),)))

        return slow


class TestMemory(MemoryContract):
    kind = FakeProvider


class TestUnlabelled(MemoryContract):
    kind = UnlabelledFakeProvider


class TestFolder(FakeContract):
    @pytest.fixture
    def connect(self, tmp_path: Path) -> Connect:
        return lambda endpoint=None: connect(endpoint or f"folder:{tmp_path / 'engine'}")


class TestUnlabelledFolder(TestFolder):
    @pytest.fixture
    def connect(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Connect:
        monkeypatch.setenv("VMHARNESS_FAKE_LABELS", "0")
        return lambda endpoint=None: connect(endpoint or f"folder:{tmp_path / 'engine'}")
