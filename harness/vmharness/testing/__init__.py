"""For authors of backends and of tests: the conformance kit, and a provider whose calls go wrong.

A backend's whole conformance test::

    from vmharness.testing import ProviderContract

    class TestMyBackend(ProviderContract):
        @pytest.fixture
        def connect(self) -> Connect:
            return my_backend.connect
"""

from __future__ import annotations

from vmharness.testing._contract import ProviderContract
from vmharness.testing._faulty import FaultyProvider
from vmharness.testing._machines import ContractMachines

__all__ = ["ContractMachines", "FaultyProvider", "ProviderContract"]
