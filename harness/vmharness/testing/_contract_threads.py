"""The conformance kit's checks that a provider may be called from several threads at once."""

# ruff: noqa: S101 - asserts are what the kit is made of

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from vmharness.provider import MachineState, Provider
from vmharness.testing._contract_base import Contract
from vmharness.testing._machines import ContractMachines

__all__ = ["ThreadContract"]

_THREADS = 4


class ThreadContract(Contract):
    """What a provider promises to threads."""

    def test_listings_beside_creates_and_deletes_are_complete(
        self, provider: Provider, machines: ContractMachines
    ) -> None:
        """All verbs may be called from several threads at once, and no listing is ever partial."""
        constant = machines.create().name
        finished = threading.Event()

        def list_all_the_time() -> int:
            listings = 0
            while not finished.is_set() or not listings:
                assert constant in {info.name for info in provider.list()}
                listings += 1
            return listings

        def live_and_die(name: str) -> None:
            assert machines.create(name).state is MachineState.RUNNING
            assert provider.exists(name)
            machines.delete(name)
            assert not provider.exists(name)

        names = [machines.new_name() for _ in range(_THREADS)]
        with ThreadPoolExecutor(_THREADS + 1) as pool:
            listing = pool.submit(list_all_the_time)
            try:
                errors = [life.exception() for life in [pool.submit(live_and_die, name) for name in names]]
            finally:
                finished.set()
            assert listing.result() > 0
        assert errors == [None] * _THREADS
