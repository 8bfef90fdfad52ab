"""The suites that die; each stops at the barrier of its moment. It starts nothing."""

from __future__ import annotations

from typing import Final

from faultlab.cells import Death, Moment

__all__ = ["CONFTEST", "POINTS", "suite"]

# The engine's point at which a run stands when death strikes.
POINTS: Final = {
    Moment.COLLECTION: "run:before",
    Moment.BEFORE: "create:before",
    Moment.DURING: "create:accepted",
    Moment.AFTER: "create:after",
    Moment.SETUP: "run:before",
    Moment.BODY: "run:before",
    Moment.TEARDOWN: "delete:before",
    Moment.END: "delete:before",
    Moment.SWEEP: "delete:before",
}

# Deaths from within: a thread waits for an order to its process, for the main thread stands at a barrier. And
# signals that whoever started the tests ignores, as nohup does, shall be heard all the same.
CONFTEST: Final = """
import ctypes
import os
import signal
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

for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)
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
_AT_IMPORT: Final = """
import pytest
from vmharness import open_session

with open_session() as session:
    session.create(scope="test_it.py").run(["sleep", "0"])

@pytest.mark.parametrize("n", range(2))
def test_one(n): pass
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
import sys
import pytest

def without_end():
    without_end()

def without_memory():
    raise MemoryError("on purpose")

@pytest.mark.parametrize("fail", [without_end, without_memory, sys.exit])
def test_one(vm, vm_factory, fail):
    vm_factory()
    fail()
"""
_SETUP_FAILS: Final = """
import sys
import pytest

@pytest.fixture(params=[RuntimeError, SystemExit])
def guest(vm_factory, request):
    vm_factory()
    raise request.param("on purpose")

def test_one(guest): pass
"""
_FINALIZER: Final = """
import pytest

@pytest.fixture
def guest(vm):
    yield vm
    raise KeyboardInterrupt("on purpose")

@pytest.mark.parametrize("n", range(2))
def test_one(guest, shared_vm, n): pass
"""
_EXIT: Final = """
import pytest

@pytest.mark.parametrize("n", range(2))
def test_one(vm, shared_vm, n):
    pytest.exit("on purpose")
"""
_OF_A_DEATH: Final = {
    Death.EXCEPTION: _FAILS,
    Death.SETUP_EXCEPTION: _SETUP_FAILS,
    Death.FINALIZER: _FINALIZER,
    Death.PYTEST_EXIT: _EXIT,
}
_OF_A_MOMENT: Final = {
    Moment.COLLECTION: _AT_IMPORT,
    Moment.SETUP: _SETUP,
    Moment.END: _SHARED,
    Moment.SWEEP: "def test_nothing(): pass",
}


def suite(death: Death, moment: Moment) -> str:
    """Return the suite for a cell."""
    return _OF_A_DEATH.get(death) or _OF_A_MOMENT.get(moment, _TWO)
