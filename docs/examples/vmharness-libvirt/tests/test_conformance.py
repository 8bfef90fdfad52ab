"""The libvirt backend keeps the contract, on the libvirt that the environment names."""

import pytest

import vmharness_libvirt
from vmharness.provider import Connect
from vmharness.testing import ProviderContract


class TestLibvirt(ProviderContract):
    """What every backend must pass."""

    @pytest.fixture
    def connect(self) -> Connect:
        """Return the backend's entry point."""
        return vmharness_libvirt.connect
