"""The libvirt backend keeps the contract, on the libvirt that the environment names."""

import pytest

import vmharness_libvirt
from vmharness.provider import Connect, Provider
from vmharness.testing import ProviderContract


class TestLibvirt(ProviderContract):
    """What every backend must pass."""

    @pytest.fixture
    def connect(self) -> Connect:
        """Return the backend's entry point."""
        return vmharness_libvirt.connect

    @pytest.fixture
    def unreachable(self) -> Provider:
        """Return a provider whose libvirt doesn't answer."""
        return vmharness_libvirt.connect("qemu+unix:///session?socket=/no/such/socket")
