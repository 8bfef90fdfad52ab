"""Three tests that use machines: one passes, one fails on purpose, and one never gets its machine."""

import pytest

from vmharness import Machine
from vmharness.pytest_plugin import VMFactory


def test_that_passes(vm: Machine) -> None:
    assert vm.run(["echo", "hello"]).stdout == "hello\n"


def test_that_fails(vm_factory: VMFactory) -> None:
    one, other = vm_factory(), vm_factory()
    assert one.name == other.name, "this test fails on purpose"


@pytest.mark.usefixtures("late_engine")
def test_whose_create_times_out(vm: Machine) -> None:
    raise AssertionError("not reached: the machine appears when nobody waits for it any more")
