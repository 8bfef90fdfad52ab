"""A test whose run is killed by SIGKILL."""

from vmharness import Machine


def test_is_killed(vm: Machine) -> None:
    """Is never reached: the run dies while the machine is being made."""
