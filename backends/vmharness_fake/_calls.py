"""How a call passes through the engine: logged, stopped at held points, struck by faults, bounded in time.

It knows no verb's meaning.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Final

from vmharness.errors import EngineUnavailable
from vmharness_fake._events import Event
from vmharness_fake._faults import Fault
from vmharness_fake._store import Store

__all__ = ["Call", "Clock", "Sleep", "passing"]

Clock = Callable[[], float]
Sleep = Callable[[float], None]

_POLL_S: Final = 0.002


class Call:
    """One call under way.

    Args:
        store: The engine's home.
        verb: What is called.
        name: Name of the machine, or "".
        deadline: Seconds since the epoch, by the clock.
        late: Makes the error to raise if the call is held beyond its deadline, from a message.
        clock: Returns seconds since the epoch.
        sleep: Waits for some seconds.
    """

    def __init__(
        self,
        store: Store,
        verb: str,
        name: str,
        *,
        deadline: float,
        late: Callable[[str], Exception],
        clock: Clock,
        sleep: Sleep,
    ) -> None:
        self.faults: Mapping[str, Fault] = {}
        self.deadline: Final = deadline
        self._store = store
        self._verb = verb
        self._name = name
        self._late = late
        self._clock = clock
        self._sleep = sleep

    def event(self, phase: str, detail: str = "") -> Event:
        """Return an event of this call."""
        return Event(
            time=self._clock(),
            pid=os.getpid(),
            verb=self._verb,
            phase=phase,
            name=self._name,
            detail=detail,
        )

    def log(self, phase: str, detail: str = "") -> None:
        """Write an event to the engine's log."""
        with self._store.locked() as engine:
            engine.log.append(self.event(phase, detail))

    def come_to(self, when: str) -> None:
        """Stop at the point `VERB:WHEN` while it is held; raise if that lasts beyond the deadline."""
        point = f"{self._verb}:{when}"
        if not self._store.is_held(point):
            return
        self.log("waits", point)
        while self._store.is_held(point):
            if self._clock() >= self.deadline:
                raise self._late(f"{self._verb} {self._name!r}: no answer in time, being held at {point}")
            self._sleep(_POLL_S)

    def meet_faults(self) -> None:
        """Find out which faults strike; raise EngineUnavailable if that is one."""
        with self._store.locked() as engine:
            self.faults = engine.faults.strike(self._verb, self._name, engine.counts)
        if "unavailable" in self.faults:
            raise EngineUnavailable(
                f"cannot {self._verb} {self._name!r}: the fake engine is unavailable, as its faults say",
                backend="fake",
                machine=self._name,
                retryable=True,
            )

    def extra_s(self) -> float:
        """Return by how many seconds a fault makes it slower."""
        return self.faults["slow"].seconds if "slow" in self.faults else 0.0

    def wait_until(self, moment: float) -> bool:
        """Wait until then, or until the deadline if that comes first; say whether the moment came in time."""
        while (left := min(moment, self.deadline) - self._clock()) > 0:
            self._sleep(left)
        return moment <= self.deadline


@contextmanager
def passing(call: Call) -> Generator[Call]:
    """Take the call to the engine and back; the block is what happens in the engine."""
    ended = ""
    try:
        call.log("begin")
        call.come_to("before")
        call.meet_faults()
        yield call
        call.come_to("after")
    except BaseException as exc:
        ended = type(exc).__name__
        raise
    finally:
        call.log("end", ended)
