"""A test in the middle of whose create the whole run is killed."""

from vmharness import Machine


def test_that_is_killed(vm: Machine) -> None:
    raise AssertionError("not reached: the run is killed while this machine is being created")
