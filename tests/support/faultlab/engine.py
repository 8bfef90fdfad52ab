"""What a stage needs of an engine, fake or real; it knows no run and no death."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import ClassVar, Final

from faultlab.cells import Backend

__all__ = ["EngineUnderTest", "eventually"]

_POLL_S: Final = 0.01


def eventually(condition: Callable[[], object], within: float, what: Callable[[], object]) -> None:
    """Wait until the condition holds; AssertionError with what was seen if it doesn't in time, in seconds."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"not within {within:g} s: {what()}"
        time.sleep(_POLL_S)


class EngineUnderTest(ABC):
    """An engine whose calls can be made to wait, and which is looked at by other means than our code.

    Calls wait at points. `create:before`, `run:before`, `list:before` and `delete:before`: the engine
    wasn't asked yet; who dies there hasn't asked it. `create:accepted` and `create:after`: it has the
    order, or has done all of it, and the caller hasn't heard. Only the suite's own `sleep` comes to
    `run:before`.

    Args:
        prefix: How the names begin of all machines that a test has to do with.
    """

    backend: ClassVar[Backend]
    # How long it may take to make a machine and to delete it, together, with both cores busy, in seconds.
    own_s: ClassVar[float]

    def __init__(self, prefix: str) -> None:
        self.prefix: Final = prefix

    @property
    @abstractmethod
    def environ(self) -> Mapping[str, str]:
        """The variables by which a process has its machines here."""

    @abstractmethod
    def names(self) -> set[str]:
        """Return the names of the machines that there are with the prefix."""

    @abstractmethod
    def make(self, name: str, labels: Mapping[str, str]) -> None:
        """Make a machine as a stranger would."""

    @abstractmethod
    def remove(self, names: Iterable[str]) -> None:
        """Remove machines."""

    @abstractmethod
    def hold(self, point: str) -> None:
        """Make each call that comes to the point wait there."""

    @abstractmethod
    def release(self, point: str) -> None:
        """Let the calls at the point go on, and those to come."""

    @abstractmethod
    def is_held(self, point: str) -> bool:
        """Whether calls wait at the point."""

    @abstractmethod
    def stood(self, point: str) -> Sequence[int]:
        """Return the processes that came to wait at the point, in order."""

    @abstractmethod
    def callers(self, verb: str) -> set[int]:
        """Return the processes that created or deleted a machine, or tried to."""

    @abstractmethod
    def forget(self) -> None:
        """Forget who called; nothing goes wrong any more, and all points are released."""

    @abstractmethod
    def make_late(self) -> Sequence[str]:
        """Let machines appear only when their create has timed out; return what to tell pytest."""

    @abstractmethod
    def die(self) -> None:
        """Let it answer no call, from now on."""

    @abstractmethod
    def rise(self) -> None:
        """Let it answer again, with the machines that it had."""

    @abstractmethod
    def restart(self, point: str) -> None:
        """Let it die and rise while calls stand at the point, all of which fail."""

    def goes_on(self, point: str) -> bool:
        """Whether a call stands at the point that will go on though its caller is dead, as a command does."""
        del point
        return False

    def worsen(self) -> None:  # noqa: B027 - most kinds are as they are
        """Do what it does from the moment on at which death strikes, if it is of such a kind."""

    def recover(self) -> None:  # noqa: B027 - the same
        """Answer again, if it doesn't, once somebody has asked in vain."""

    @abstractmethod
    def is_busy(self) -> bool:
        """Whether a call is under way; one may be whose caller is dead."""
