"""Making a machine as a copy of another one; what a failure comes to is as with any create."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from vmharness.provider import Spec
from vmharness_incus._cli import Client
from vmharness_incus._create import Create
from vmharness_incus._launch import Launch, check, label_flags
from vmharness_incus._machine import CLOUD_INIT, NAME

__all__ = ["Clone"]


class Clone(Create):
    """One clone.

    Args:
        client: Asks the engine.
        source: Name of the machine to copy.
        spec: Name and labels of the copy.
        timeout: Seconds until the deadline.
        clock: Returns seconds that never go back.
        sleep: Waits for some seconds.
    """

    def __init__(
        self,
        client: Client,
        source: str,
        spec: Spec,
        timeout: float,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        super().__init__(client, spec, timeout, clock=clock, sleep=sleep)
        self._source = source

    def prepare(self) -> Launch:
        """Look for the source, and return the arguments of the copy."""
        check(self._spec)
        there = None
        if NAME.fullmatch(self._source):
            there = self._client.machine(self._source, timeout=self._query_s())
        if there is None:
            raise ValueError(f"there is no machine {self._source!r} to copy")
        # The engine copies all that the copy isn't told; what is told to be empty is left out.
        theirs = dict.fromkeys(set(there.labels or ()) - CLOUD_INIT, "")
        flags = label_flags(replace(self._spec, labels={**theirs, **self._spec.labels}))
        return Launch(image="", flags=flags, aliases=())

    def ask(self, launch: Launch) -> str:
        """Copy the source, running or not, and start the copy."""
        name = self._spec.name
        text = self._client.copy(self._source, name, launch.flags, timeout=self._left())
        return text or self._client.power("start", name, timeout=self._left())
