"""The fake backend keeps the contract: in memory, in a folder, and without labels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from vmharness.provider import Connect, Provider
from vmharness.testing import ProviderContract
from vmharness_fake import UnlabelledFakeProvider, connect


class FakeContract(ProviderContract):
    image = "fake:tiny"
    hostile_names = (*ProviderContract.hostile_names, "a-", "A", "a.b", "a_b", "a" * 64)

    @pytest.fixture
    def connect(self) -> Connect:
        return connect

    @pytest.fixture
    def stop(self, provider: Provider) -> Callable[[str], None]:
        assert isinstance(provider, UnlabelledFakeProvider)
        return provider.stop


class TestMemory(FakeContract):
    @pytest.fixture
    def provider(self, monkeypatch: pytest.MonkeyPatch) -> Provider:
        monkeypatch.delenv("VMHARNESS_FAKE_DIR", raising=False)
        return connect()


class TestFolder(FakeContract):
    @pytest.fixture
    def provider(self, tmp_path: Path) -> Provider:
        return connect(f"folder:{tmp_path / 'engine'}")


class TestUnlabelled(FakeContract):
    @pytest.fixture
    def provider(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Provider:
        monkeypatch.setenv("VMHARNESS_FAKE_LABELS", "0")
        return connect(f"folder:{tmp_path / 'engine'}")
