"""Making a machine: attempts within a deadline, whose machine it is, and waiting until it can be used.

It knows neither an argument of orbctl nor any other verb.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from vmharness.errors import (
    CreateFailed,
    CreateTimeout,
    CreateUnsettled,
    EngineUnavailable,
    NameTaken,
    ProviderError,
)
from vmharness.provider import MachineInfo, MachineState, Spec
from vmharness_orbstack._cli import BACKEND, OrbCtl, RolledBack

__all__ = ["STATUS_S", "Create"]

STATUS_S: Final = 10.0
_QUERY_S: Final = 30.0
_TRIAL_S: Final = 10.0
_POLL_S: Final = 0.2
# Before the second, third and fourth attempt, in seconds.
_PAUSES_S: Final = (2.0, 4.0, 8.0)
# The time in an ID is cut to milliseconds.
_ID_RESOLUTION_S: Final = 0.001


class Create:
    """One create, or one clone.

    Args:
        cli: Runs orbctl.
        name: Name of the machine.
        timeout: Seconds until the deadline.
        clock: Seconds from any origin, never going back.
        sleep: Waits for so many seconds.
        now: Seconds since the epoch.
    """

    def __init__(
        self,
        cli: OrbCtl,
        name: str,
        timeout: float,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        now: Callable[[], float],
    ) -> None:
        self._cli = cli
        self._name = name
        self._timeout = timeout
        self._clock = clock
        self._sleep = sleep
        self._ends = clock() + timeout
        self._began = now()

    def run(self, spec: Spec) -> MachineInfo:
        """Make a machine; what passes by itself is tried again while there is time.

        Args:
            spec: What is asked for, its image in orbctl's form.
        """
        pauses = iter(_PAUSES_S)
        asked = False
        while True:
            try:
                self._require_running()
                try:
                    self._ask(spec, asked=asked)
                finally:
                    asked = True
                break
            except CreateFailed as exc:
                pause = next(pauses, None)
                if not exc.retryable or pause is None or self._clock() + pause >= self._ends:
                    raise
                self._sleep(pause)
        return self._wait_ready()

    def clone(self, source: str) -> MachineInfo:
        """Copy a machine, and start the copy."""
        self._require_running()
        self._cli.clone(source, self._name, timeout=self._left())
        try:
            self._cli.start(self._name, timeout=self._left())
        except (ProviderError, TimeoutError) as exc:
            raise CreateUnsettled(
                f"cannot start machine {self._name!r}, the copy of {source!r}: {exc}",
                backend=BACKEND,
                machine=self._name,
            ) from exc
        return self._wait_ready()

    def _left(self) -> float:
        return max(0.0, self._ends - self._clock())

    def _require_running(self) -> None:
        try:
            self._cli.require_running(timeout=min(STATUS_S, self._left()))
        except EngineUnavailable as exc:
            raise CreateFailed(
                f"cannot create machine {self._name!r}: {exc}",
                backend=BACKEND,
                machine=self._name,
                retryable=exc.retryable,
            ) from exc

    def _ask(self, spec: Spec, *, asked: bool) -> None:
        """Let orbctl make the machine, and find out what became of it if that fails.

        Args:
            spec: What is asked for.
            asked: Whether an earlier attempt may have made it after all.
        """
        try:
            self._cli.create(spec, spec.image, timeout=self._left())
        except NameTaken:
            if not asked or not self._is_ours():
                raise
        except RolledBack as exc:
            raise self._settle(exc) from exc
        except CreateTimeout:
            raise
        except CreateUnsettled:
            # Its client came to grief, but OrbStack goes on without one.
            if not self._is_ours():
                raise

    def _find(self) -> MachineInfo | None:
        # A listing that the deadline would cut short says nothing, so it always gets a little time.
        left = max(self._left(), 1.0)
        self._cli.require_running(timeout=min(STATUS_S, left))
        listing = self._cli.machines(timeout=min(_QUERY_S, left))
        return next((machine for machine in listing if machine.name == self._name), None)

    def _is_ours(self) -> bool:
        """Say whether the machine of that name was made since we began: nobody else knew the name then."""
        try:
            found = self._find()
        except EngineUnavailable as exc:
            raise CreateUnsettled(
                f"cannot tell whether machine {self._name!r} was made: {exc}",
                backend=BACKEND,
                machine=self._name,
            ) from exc
        return (
            found is not None
            and found.created_at is not None
            and found.created_at + _ID_RESOLUTION_S >= self._began
        )

    def _settle(self, exc: RolledBack) -> ProviderError:
        """Return CreateFailed if nothing is left of a create that OrbStack gave up, else CreateUnsettled."""
        try:
            left = self._find()
            while left is not None and left.state is MachineState.DELETING and self._clock() < self._ends:
                self._sleep(_POLL_S)
                left = self._find()
        except EngineUnavailable as unknown:
            said = f"{exc}; whether something is left is not known: {unknown}"
        else:
            if left is None:
                return CreateFailed(
                    str(exc), backend=exc.backend, machine=exc.machine, retryable=exc.retryable
                )
            said = f"{exc}; it is still listed as {left.state}"
        return CreateUnsettled(said, backend=exc.backend, machine=exc.machine, retryable=exc.retryable)

    def _wait_ready(self) -> MachineInfo:
        """Wait for a running machine with an address that runs commands."""
        while True:
            ready, why = self._try()
            if ready is not None:
                return ready
            if self._clock() >= self._ends:
                raise CreateTimeout(
                    f"cannot use machine {self._name!r} within {self._timeout:.3g} s: "
                    f"OrbStack has made it, but {why}",
                    backend=BACKEND,
                    machine=self._name,
                )
            self._sleep(_POLL_S)

    def _try(self) -> tuple[MachineInfo | None, str]:
        """Return the machine if it can be used; else None, and why not."""
        left = max(self._left(), 0.1)
        try:
            machine = self._cli.info(self._name, timeout=min(_QUERY_S, left))
        except EngineUnavailable as exc:
            if exc.retryable:
                return None, str(exc)
            raise CreateUnsettled(str(exc), backend=BACKEND, machine=self._name) from exc
        if machine is None:
            raise CreateUnsettled(
                f"cannot use machine {self._name!r}: OrbStack said that it made it, "
                "but doesn't know it any more",
                backend=BACKEND,
                machine=self._name,
            )
        if machine.state is not MachineState.RUNNING or not machine.address:
            return None, f"its state is {machine.state} and its address {machine.address!r}"
        try:
            trial = self._cli.run(self._name, ["true"], timeout=min(_TRIAL_S, left))
        except (ProviderError, TimeoutError) as exc:
            return None, str(exc)
        return (machine, "") if trial.status == 0 else (None, f"'true' ended with {trial.status} in it")
