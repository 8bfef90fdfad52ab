"""The conformance kit's checks of deadlines, and of machines that appear after them.

An engine that is quick keeps any deadline. So these ask for a way to slow it down, and without one find out
how long it takes by itself. It knows no capability.
"""

# ruff: noqa: S101 - asserts are what the kit is made of

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from vmharness._clock import Clock
from vmharness.errors import CreateFailed, CreateTimeout, CreateUnsettled
from vmharness.provider import MachineState, Provider
from vmharness.testing._contract_base import Contract
from vmharness.testing._levels import should
from vmharness.testing._machines import ContractMachines

__all__ = ["DeadlineContract"]

_SLOW_S: Final = 5.0
_SLOW_ENOUGH_S: Final = 1.0  # below that, to be late is no proof that a deadline is ignored
_POLL_S: Final = 0.2

Slow = Callable[[str, float], None]


class DeadlineContract(Contract):
    """What deadlines promise."""

    verb = "deadlines"

    @pytest.fixture
    def create_s(self, machines: ContractMachines, slow: Slow | None, clock: Clock) -> float:
        """Return how long a create takes, in seconds; far too long for the deadlines that are checked."""
        if slow is not None:
            slow("create", _SLOW_S)
            return _SLOW_S
        began = clock.monotonic()
        machines.create()
        return _long_enough(clock.monotonic() - began, "creates")

    @pytest.fixture
    def delete_s(self, machines: ContractMachines, slow: Slow | None, clock: Clock) -> float:
        """Return how long a delete takes, in seconds; far too long for the deadlines that are checked."""
        if slow is not None:
            slow("delete", _SLOW_S)
            return _SLOW_S
        name = machines.create().name
        began = clock.monotonic()
        machines.delete(name)
        return _long_enough(clock.monotonic() - began, "deletes")

    def test_create_ends_at_its_deadline(
        self, machines: ContractMachines, create_s: float, slow: Slow | None, clock: Clock
    ) -> None:
        """A create ends at its deadline, and doesn't wait for a machine that is late."""
        began = clock.monotonic()

        error = _create_late(machines, create_s)

        _judge(clock.monotonic() - began, create_s, error, slowed=slow is not None)

    def test_create_that_is_late_is_no_success(self, machines: ContractMachines, create_s: float) -> None:
        """Create returns only when the machine runs, also at its deadline."""
        name = machines.new_name()

        error = _create_late(machines, create_s, name)

        if error is None:
            listed = machines.listed(name)
            assert listed is not None, "create returned at its deadline, and no machine is listed"
            assert listed.state is MachineState.RUNNING, "create returned at its deadline"

    @should
    def test_create_that_is_late_is_unsettled(self, machines: ContractMachines, create_s: float) -> None:
        """CreateUnsettled, at the deadline: nobody knows; CreateFailed only where no machine comes of it."""
        error = _create_late(machines, create_s)

        if error is None:
            pytest.skip("the engine kept the deadline")
        assert isinstance(error, CreateUnsettled | CreateFailed), f"it raised {error!r}"

    @should
    def test_create_that_is_late_is_a_timeout(self, machines: ContractMachines, create_s: float) -> None:
        """CreateTimeout: the deadline has passed; people are told so, and not only that it is unknown."""
        error = _create_late(machines, create_s)

        if error is None or isinstance(error, CreateFailed):
            pytest.skip("the engine kept the deadline")
        assert isinstance(error, CreateTimeout), f"it raised {error!r}"

    def test_no_machine_comes_of_a_create_that_failed(
        self, machines: ContractMachines, create_s: float, clock: Clock
    ) -> None:
        """CreateFailed, at the deadline as well: surely no machine was or will be made."""
        name, until = machines.new_name(), clock.monotonic() + create_s * 1.5
        try:
            machines.create(name, timeout=create_s / 4)
        except CreateFailed:
            while clock.monotonic() < until:
                assert machines.listed(name) is None, "the create failed, and its machine is listed"
                clock.sleep(_POLL_S)
        except Exception:
            return  # nothing is promised

    def test_a_machine_that_comes_late_can_be_deleted(
        self, machines: ContractMachines, create_s: float, clock: Clock
    ) -> None:
        """A machine that appears after its create's deadline is listed under its name, and can be deleted."""
        name, until = machines.new_name(), clock.monotonic() + create_s * 1.5
        try:
            machines.create(name, timeout=create_s / 4)
        except Exception:
            while machines.listed(name) is None:
                if clock.monotonic() >= until:
                    pytest.skip("the late create brought no machine")
                clock.sleep(_POLL_S)

        machines.delete(name)

        assert machines.listed(name) is None

    def test_delete_ends_at_its_deadline(
        self,
        provider: Provider,
        machines: ContractMachines,
        delete_s: float,
        slow: Slow | None,
        clock: Clock,
    ) -> None:
        """A delete ends at its deadline, and doesn't wait for an engine that is late."""
        name, error = machines.create().name, None
        began = clock.monotonic()

        try:
            provider.delete(name, timeout=delete_s / 4)
        except Exception as exc:
            error = exc

        _judge(clock.monotonic() - began, delete_s, error, slowed=slow is not None)

    def test_delete_that_is_late_is_no_success(
        self, provider: Provider, machines: ContractMachines, delete_s: float
    ) -> None:
        """A delete returns only when the machine is gone, also at its deadline; else DeleteFailed."""
        name = machines.create().name

        try:
            provider.delete(name, timeout=delete_s / 4)
        except Exception:
            return

        assert machines.listed(name) is None, "the delete returned at its deadline, and the machine is listed"


def _create_late(machines: ContractMachines, create_s: float, name: str | None = None) -> Exception | None:
    """Create a machine with a deadline that is too short; return what was raised."""
    try:
        machines.create(name, timeout=create_s / 4)
    except Exception as exc:
        return exc
    return None


def _judge(took_s: float, usual_s: float, error: Exception | None, *, slowed: bool) -> None:
    """Fail if a call with a quarter of the time that it takes was not ended by its deadline.

    An engine that wasn't slowed down may be quicker this time, and busy when it is asked what became of it.
    """
    what = f"raised {error!r}" if error else "returned"
    limit_s = usual_s / 2 if error is None else usual_s
    if error is None or slowed:
        assert took_s < limit_s, f"it {what} after {took_s:.2f} s; its deadline was {usual_s / 4:.2f} s"


def _long_enough(seconds: float, what: str) -> float:
    if seconds < _SLOW_ENOUGH_S:
        pytest.skip(f"the engine's {what} take {seconds:.2f} s only, and the test gives no fixture 'slow'")
    return seconds
