"""Docker against the conformance kit, on a real engine."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

import vmharness_docker
from vmharness.provider import Connect, Provider
from vmharness.testing import ProviderContract


class TestDocker(ProviderContract):
    image = os.environ.get("VMHARNESS_TEST_DOCKER_IMAGE", "vmharness-tiny:latest")
    hostile_names = (*ProviderContract.hostile_names, "a", ".a", "_a", "a%2Fb", "a?b", "a#b")

    @pytest.fixture
    def connect(self, docker_engine: Callable[..., str]) -> Connect:
        return vmharness_docker.connect

    @pytest.fixture
    def stop(self, docker_engine: Callable[..., str]) -> Callable[[str], None]:
        def stop(name: str) -> None:
            docker_engine("stop", "-t", "0", name)

        return stop

    @pytest.fixture
    def unreachable(self, docker_engine: Callable[..., str]) -> Provider:
        return vmharness_docker.connect("unix:///nonexistent/docker.sock")
