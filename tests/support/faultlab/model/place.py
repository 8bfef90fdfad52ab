"""What the world needs of an engine, and what an engine tells the world; it knows no kind of engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from vmharness import Provider
from vmharness.provider import Spec
from vmharness_fake import Fault

__all__ = ["Client", "Killed", "Place", "Seen", "Told"]


class Killed(BaseException):
    """The calling process is no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A machine that an engine has taken in; it appears then, by the steady clock."""

    uid: str
    name: str
    labels: Mapping[str, str]
    appears: float


class Told(Protocol):
    """Who is told what happens in engines."""

    def born(self, endpoint: str, seen: Seen) -> None:
        """Hear that an engine has taken in a machine."""

    def doomed(self, endpoint: str, uid: str, gone_at: float) -> None:
        """Hear that an engine begins to delete a machine, which it lists until then, by the steady clock."""

    def vanished(self, uid: str) -> None:
        """Hear that an engine has given up a machine by itself."""


class Client(Protocol):
    """The process that calls."""

    def asks(self, endpoint: str, spec: Spec, takes: float) -> None:
        """Note that it is about to ask for a machine, which may take so many seconds to come."""

    def comes_to(self, point: str) -> None:
        """Note how far a call of it has come; raise what strikes it there."""


class Place(Protocol):
    """One engine."""

    @property
    def endpoint(self) -> str:
        """Its endpoint."""
        ...

    @property
    def settle_s(self) -> float:
        """For how long after its deadline a create may bring a machine, as its provider says, in seconds."""
        ...

    def connect(self, client: Client) -> Provider:
        """Return a process's way to it."""
        ...

    def hand(self) -> Provider:
        """Return the way of somebody who has nothing to do with vmharness."""
        ...

    def trouble(self, fault: Fault) -> None:
        """Let it go wrong, or what is like it there, besides what goes wrong already."""

    def heal(self) -> None:
        """Let it do as it is told."""

    @property
    def calm(self) -> bool:
        """Whether nothing goes wrong."""
        ...

    def pass_time(self) -> None:
        """Tell what time alone has changed."""
