"""The suites that die; each stops at the barrier of its moment. It starts nothing."""

from __future__ import annotations

from typing import Final

from faultlab.cells import Death, Moment

__all__ = ["CONFTEST", "POINTS", "SUITES", "suite"]

# The engine's point at which a run stands when death strikes.
POINTS: Final = {
    Moment.BEFORE: "create:before",
    Moment.DURING: "create:accepted",
    Moment.AFTER: "create:after",
    Moment.SETUP: "run:before",
    Moment.BODY: "run:before",
    Moment.TEARDOWN: "delete:before",
    Moment.END: "delete:before",
    Moment.SWEEP: "delete:before",
}

# Deaths from within: a thread waits for an order to its process, for the main thread stands at a barrier.
CONFTEST: Final = """
import ctypes
import os
import threading
import time
from pathlib import Path

def explode():
    order = Path(__file__).with_name("bomb")
    while True:
        time.sleep(0.01)
        try:
            pid, how = order.read_text().split()
        except (OSError, ValueError):
            continue
        if int(pid) == os.getpid():
            order.unlink()
            if how == "exit":
                os._exit(3)
            ctypes.string_at(0)

threading.Thread(target=explode, daemon=True).start()
"""

_TWO: Final = """
import pytest

@pytest.fixture
def guest(vm):
    return vm

@pytest.mark.parametrize("n", range(2))
def test_one(guest, n):
    guest.run(["sleep", "0"])
"""
_SETUP: Final = """
import pytest

@pytest.fixture
def guest(vm):
    vm.run(["sleep", "0"])
    yield vm

@pytest.mark.parametrize("n", range(2))
def test_one(guest, n): pass
"""
_SHARED: Final = """
import pytest

@pytest.mark.parametrize("n", range(2))
def test_one(shared_vm, n): pass
"""
_FAILS: Final = """
import pytest

@pytest.mark.parametrize("n", range(2))
def test_one(vm, vm_factory, n):
    vm_factory()
    raise RuntimeError("on purpose")
"""
_SETUP_FAILS: Final = """
import pytest

@pytest.fixture
def guest(vm_factory):
    vm_factory()
    raise RuntimeError("on purpose")

@pytest.mark.parametrize("n", range(2))
def test_one(guest, n): pass
"""
SUITES: Final = {
    Moment.SETUP: _SETUP,
    Moment.END: _SHARED,
    Moment.SWEEP: "def test_nothing(): pass",
}


def suite(death: Death, moment: Moment) -> str:
    """Return the suite for a cell."""
    if death is Death.EXCEPTION:
        return _FAILS
    if death is Death.SETUP_EXCEPTION:
        return _SETUP_FAILS
    return SUITES.get(moment, _TWO)
