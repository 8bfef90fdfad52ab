"""LXD against the conformance kit, on a real engine."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

import vmharness_incus
from vmharness.provider import Connect
from vmharness.testing import ProviderContract


class TestLXD(ProviderContract):
    image = os.environ.get("VMHARNESS_TEST_LXD_IMAGE", "vmharness-tiny")
    hostile_names = (*ProviderContract.hostile_names, "a-", "1a", "a.b", "a_b", "a?b", "a%2Fb", "a" * 64)

    @pytest.fixture
    def connect(self, lxd_engine: Callable[..., str]) -> Connect:
        return vmharness_incus.connect_lxd

    @pytest.fixture
    def stop(self, lxd_engine: Callable[..., str]) -> Callable[[str], None]:
        def stop(name: str) -> None:
            lxd_engine("stop", "--force", name)

        return stop
