"""Incus and LXD against the conformance kit, each on a real engine."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

import vmharness_incus
from vmharness.provider import Connect, Provider
from vmharness.testing import ProviderContract

HOSTILE_NAMES = (*ProviderContract.hostile_names, "a-", "1a", "a.b", "a_b", "a?b", "a%2Fb", "a" * 64)


class TestLXD(ProviderContract):
    image = os.environ.get("VMHARNESS_TEST_LXD_IMAGE", "vmharness-tiny")
    hostile_names = HOSTILE_NAMES

    @pytest.fixture
    def connect(self, lxd_engine: Callable[..., str]) -> Connect:
        return vmharness_incus.connect_lxd

    @pytest.fixture
    def stop(self, lxd_engine: Callable[..., str]) -> Callable[[str], None]:
        def stop(name: str) -> None:
            lxd_engine("stop", "--force", name)

        return stop

    @pytest.fixture
    def unreachable(self, lxd_engine: Callable[..., str]) -> Provider:
        return vmharness_incus.connect_lxd("lxd:local/default?dir=%2Fnonexistent")


class TestIncus(ProviderContract):
    image = os.environ.get("VMHARNESS_TEST_INCUS_IMAGE", "vmharness-tiny")
    hostile_names = HOSTILE_NAMES

    @pytest.fixture
    def connect(self, incus_engine: Callable[..., str]) -> Connect:
        return vmharness_incus.connect_incus

    @pytest.fixture
    def stop(self, incus_engine: Callable[..., str]) -> Callable[[str], None]:
        def stop(name: str) -> None:
            incus_engine("stop", "--force", name)

        return stop

    @pytest.fixture
    def unreachable(self, incus_engine: Callable[..., str]) -> Provider:
        return vmharness_incus.connect_incus("incus:local/default?dir=%2Fnonexistent")
