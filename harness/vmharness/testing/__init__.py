"""For authors of backends and of tests: the conformance kit, and a provider whose calls go wrong.

A backend's whole conformance test::

    from vmharness.testing import ProviderContract

    class TestMyBackend(ProviderContract):
        @pytest.fixture
        def connect(self) -> Connect:
            return my_backend.connect

`vmharness verify BACKEND` runs the same checks on an installed backend, and prints a report.
"""

from __future__ import annotations

from vmharness._clock import Clock
from vmharness.testing._contract import Check, ProviderContract, checks
from vmharness.testing._fake_clock import FakeClock
from vmharness.testing._faulty import FaultyProvider
from vmharness.testing._levels import Level
from vmharness.testing._machines import ContractMachines

__all__ = [
    "Check",
    "Clock",
    "ContractMachines",
    "FakeClock",
    "FaultyProvider",
    "Level",
    "ProviderContract",
    "checks",
]
