"""The engine's log: what each call did and when, so that a test can act at a certain moment.

It knows neither where the log is kept nor what the calls mean.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

__all__ = ["Event", "wait_for"]

_POLL_S: Final = 0.002


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One moment of a call.

    Attributes:
        time: Seconds since the epoch, by the calling provider's clock.
        pid: The process that calls.
        verb: What was called.
        phase: `begin`; `waits`, at a point that is held; `accepted`, when the engine has begun a create
            or delete that it will finish even if the caller dies, or has begun to run a command; `end`.
        name: Name of the machine, or "".
        detail: The point of a `waits`; the class of the error with which a call came to its `end`; or "".
    """

    time: float
    pid: int
    verb: str
    phase: str
    name: str = ""
    detail: str = ""


class _HasEvents(Protocol):
    def events(self) -> Sequence[Event]: ...


def wait_for(
    store: _HasEvents,
    verb: str,
    phase: str,
    *,
    name: str = "",
    detail: str = "",
    count: int = 1,
    timeout: float = 30.0,
) -> Sequence[Event]:
    """Wait until such events are in the store's log, and return all of them.

    Args:
        store: Whose log to look at.
        verb: Verb of the events.
        phase: Phase of the events.
        name: Name of the machine; "" = any.
        detail: Detail of the events; "" = any.
        count: How many there must be at least.
        timeout: Seconds until it is given up.

    Raises:
        TimeoutError: There are fewer; the message shows the end of the log.
    """
    deadline = time.monotonic() + timeout
    while True:
        log = store.events()
        found = [
            event
            for event in log
            if (event.verb, event.phase) == (verb, phase)
            and name in {"", event.name}
            and detail in {"", event.detail}
        ]
        if len(found) >= count:
            return found
        if time.monotonic() >= deadline:
            last = "\n".join(map(str, log[-20:]))
            raise TimeoutError(f"{len(found)} instead of {count} events {verb} {phase} {name}; last:\n{last}")
        time.sleep(_POLL_S)
