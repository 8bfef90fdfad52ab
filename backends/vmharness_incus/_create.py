"""Making an instance: a launch, a trial, and what to believe when the launch fails; no other verb."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
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
from vmharness_incus._cli import Client
from vmharness_incus._delete import delete
from vmharness_incus._errors import Doing, Means, means, translate
from vmharness_incus._exec import Execution
from vmharness_incus._launch import Launch, prepare

__all__ = ["Create"]

_QUERY_S: Final = 30.0
_TRIAL_S: Final = 10.0
# For a look at what was made, after the deadline if need be.
_LOOK_S: Final = 5.0
_PAUSE_S: Final = 0.2
# To take away a half-made instance, after the deadline if need be: it takes 0.7 s.
_UNDO_S: Final = 15.0
_SHOWN: Final = 20


class Create:
    """One create.

    Args:
        client: Asks the engine.
        spec: What is asked for.
        timeout: Seconds until the deadline.
        clock: Returns seconds that never go back.
        sleep: Waits for some seconds.
    """

    def __init__(
        self,
        client: Client,
        spec: Spec,
        timeout: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._spec = spec
        self._timeout = timeout
        self._clock = clock
        self._sleep = sleep
        self._ends = clock() + timeout
        self._what = f"create machine {spec.name!r}"

    def run(self) -> MachineInfo:
        """Make the machine, as `Provider.create` says."""
        try:
            launch = self.prepare()
        except (EngineUnavailable, ValueError) as exc:
            retryable = isinstance(exc, ProviderError) and exc.retryable
            raise self._failed(f"cannot {self._what}: {exc}", retryable=retryable) from exc
        while text := self._launch(launch):
            verdict = self._judge(text, launch.aliases)
            if verdict is not None:
                raise verdict
            self._sleep(_PAUSE_S)
        return self._wait_usable()

    def prepare(self) -> Launch:
        """Return what to ask the engine for; ValueError or EngineUnavailable: nothing was asked for."""
        return prepare(self._client, self._spec, timeout=self._query_s())

    def ask(self, launch: Launch) -> str:
        """Ask the engine for the machine; return "", or the sentence with which it refused."""
        return self._client.launch(self._spec.name, launch.image, launch.flags, timeout=self._left())

    def _query_s(self) -> float:
        return min(_QUERY_S, self._left())

    def _launch(self, launch: Launch) -> str:
        """Return "", or the sentence with which the launch failed."""
        try:
            return self.ask(launch)
        except EngineUnavailable as exc:
            raise self._failed(f"cannot {self._what}: {exc}") from exc
        except TimeoutError as exc:
            raise self._late("the engine goes on, and it may still appear") from exc

    def _judge(self, text: str, aliases: Sequence[str]) -> ProviderError | None:
        """Return what a failed launch comes to, by what is there after it; None: it is to be tried again."""
        error = translate(
            text, Doing.CREATE, self._what, backend=self._client.backend, machine=self._spec.name
        )
        if isinstance(error, CreateUnsettled):
            return error
        try:
            there = self._find()
        except EngineUnavailable as exc:
            return self._unsettled(f"{error}; whether anything was made is not known: {exc}")
        meaning, _ = means(text)
        # What was there before isn't this create's, whatever labels it has: it may be an earlier one's.
        if there is not None and meaning is not Means.TAKEN and self._is_ours(there):
            return self._undo(error)
        if meaning is Means.TAKEN or (meaning is Means.CREATING and there is not None):
            return NameTaken(str(error), backend=error.backend, machine=error.machine)
        if meaning is Means.CREATING:
            # Another create of that name has begun, or, in some releases, any other create.
            return None if self._left() > _PAUSE_S else self._failed(str(error), retryable=True)
        if there is not None and (not self._spec.labels or there.labels is None):
            return self._unsettled(f"{error}; one of that name is there, and it is not known whose")
        return self._failed(str(error) + (_shown(aliases) if meaning is Means.NO_IMAGE else ""))

    def _find(self) -> MachineInfo | None:
        """Look what is there after a failure, for a while.

        Of an instance whose start has just failed, Incus 6.0 was seen to say `Invalid PID` once, and then
        its state.
        """
        ends = self._clock() + _LOOK_S
        while True:
            try:
                return self._client.machine(self._spec.name, timeout=max(_LOOK_S, self._left()))
            except EngineUnavailable:
                if self._clock() + _PAUSE_S >= ends:
                    raise
            self._sleep(_PAUSE_S)

    def _is_ours(self, there: MachineInfo) -> bool:
        """Say whether a machine has the labels of this very create."""
        ours = {key: value for key, value in self._spec.labels.items() if value}  # empty ones are not kept
        return bool(ours) and ours.items() <= (there.labels or {}).items()

    def _undo(self, why: ProviderError) -> ProviderError:
        """Take away a half-made instance of ours; return CreateFailed if it is surely gone."""
        try:
            delete(self._client, self._spec.name, _UNDO_S, clock=self._clock, sleep=self._sleep)
        except ProviderError as exc:
            return self._unsettled(f"{why}; {exc}")
        return self._failed(str(why))

    def _wait_usable(self) -> MachineInfo:
        """Wait until a command runs in the machine, as a virtual machine boots first; return the machine."""
        while why := self._trial():
            if self._left() <= _PAUSE_S:
                raise self._late(f"it was made, but {why}")
            if (there := self._look()).state is MachineState.STOPPED:
                gone = self._failed(f"cannot {self._what}: it was made, but ended by itself: {why}")
                raise self._undo(gone) if self._is_ours(there) else self._unsettled(str(gone))
            self._sleep(_PAUSE_S)
        return self._look()

    def _trial(self) -> str:
        """Return "" if a command runs in the machine, else why it doesn't."""
        ends = self._clock() + max(0.1, min(_TRIAL_S, self._left()))
        try:
            text = Execution(self._client, self._spec.name, ["true"], ends=ends, clock=self._clock).trial()
        except (TimeoutError, EngineUnavailable) as exc:
            return str(exc)
        return "" if means(text)[0] is Means.NOT_STARTED else text  # no `true`, but it was looked for

    def _look(self) -> MachineInfo:
        """Return the machine that was made; others may have deleted it."""
        try:
            there = self._client.machine(self._spec.name, timeout=max(_LOOK_S, self._left()))
        except EngineUnavailable as exc:
            raise self._unsettled(f"cannot {self._what}: it was made, but {exc}") from exc
        if there is None:
            raise self._failed(f"cannot {self._what}: it was made, but others have deleted it")
        return there

    def _left(self) -> float:
        return max(0.0, self._ends - self._clock())

    def _failed(self, text: str, *, retryable: bool = False) -> CreateFailed:
        return CreateFailed(text, backend=self._client.backend, machine=self._spec.name, retryable=retryable)

    def _unsettled(self, text: str) -> CreateUnsettled:
        return CreateUnsettled(text, backend=self._client.backend, machine=self._spec.name)

    def _late(self, why: str) -> CreateTimeout:
        return CreateTimeout(
            f"cannot {self._what} within {self._timeout:.3g} s: {why}",
            backend=self._client.backend,
            machine=self._spec.name,
        )


def _shown(aliases: Sequence[str]) -> str:
    """Return the engine's images in words, for who asked for one that isn't there."""
    more = f" and {len(aliases) - _SHOWN} more" if len(aliases) > _SHOWN else ""
    return f"; the engine has {', '.join(aliases[:_SHOWN]) or 'no images'}{more}"
