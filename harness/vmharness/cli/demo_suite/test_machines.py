"""Three tests that use machines: one has it easy, and two do not."""

import pytest

from vmharness import Machine
from vmharness.pytest_plugin import VMFactory


def test_passes(vm: Machine) -> None:
    assert vm.run(["echo", "hello"]).stdout == "hello\n"


def test_fails(vm_factory: VMFactory) -> None:
    vm_factory()
    vm_factory()
    pytest.fail("on purpose: both machines must go all the same")


@pytest.mark.usefixtures("late_engine")
def test_times_out(vm: Machine) -> None:
    """Is never reached: the machine appears when nobody waits for it."""
