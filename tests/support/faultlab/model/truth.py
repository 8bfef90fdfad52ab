"""Who asked for what, who made what, and what is there: noted as it happens. It judges nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from faultlab.model.clock import WorldClock
from faultlab.model.files import Book, read_books
from faultlab.model.place import Seen
from vmharness.provider import LABEL_NAME, LABEL_TOKEN

__all__ = ["EXPIRY_S", "TOMBSTONE_S", "Ended", "Made", "Named", "Process", "Truth", "Want"]

# What the user's guide promises, in seconds.
TOMBSTONE_S: Final = 24 * 3600.0
EXPIRY_S: Final = 12 * 3600.0


class Ended(StrEnum):
    """How a create ended, as far as its caller can know."""

    OPEN = "open"
    MADE = "made"
    REFUSED = "refused"
    DOUBT = "doubt"


@dataclass(eq=False, slots=True, kw_only=True)
class Process:
    """A process that vmharness runs in: an owner, or a reaper.

    Attributes:
        name: For the story.
        folder: Its state folder.
        began: What the wall clock showed when it began.
        prefixes: What it sweeps by prefix.
        alive: Whether it lives.
        newer: Whether its ledger is one of a version to come.
        wants: The machines that it asked for.
        named: The names that it tracks.
    """

    name: str
    folder: Path
    began: float
    prefixes: tuple[str, ...] = ()
    alive: bool = True
    newer: bool = False
    wants: list[Want] = field(default_factory=list["Want"])
    named: list[Named] = field(default_factory=list["Named"])


@dataclass(eq=False, slots=True, kw_only=True)
class Want:
    """A machine that a session asked an engine for. Times are the wall clock's.

    Attributes:
        process: Who asked.
        endpoint: Which engine.
        name: Name of the machine.
        token: The token in its label; "" = no labels.
        made_up: Whether vmharness made the name.
        scope: At whose end the machine goes.
        began: When the session was told to create it; the intent was written between this and `asked`.
        asked: When the engine was asked.
        takes: The longest that the machine may take to come from then on, in seconds.
        ended: How the create ended.
        machine: What came of it.
        contested: Whether another machine had its name, then or later, or was to have it.
        forgotten: Whether the time has passed for which it must be looked for, with nothing in sight.
        lost: Why no readable line names it any more; "" = one must.
    """

    process: Process
    endpoint: str
    name: str
    token: str
    made_up: bool
    scope: str
    began: float
    asked: float
    takes: float
    ended: Ended = Ended.OPEN
    machine: Made | None = None
    contested: bool = False
    forgotten: bool = False
    lost: str = ""


@dataclass(eq=False, slots=True, kw_only=True)
class Named:
    """A name that a session tracks. Times are the wall clock's.

    Attributes:
        process: Who tracks it.
        endpoint: On which engine.
        name: The name.
        scope: At whose end machines of that name go.
        seen_absent: Whether there was none when it was named.
        until: When a machine that others make has to be there, to be told from a stranger's.
        active: Whether that scope still lasts.
        lost: Why no readable line names it any more; "" = one must.
    """

    process: Process
    endpoint: str
    name: str
    scope: str
    seen_absent: bool
    until: float
    active: bool = True
    lost: str = ""


@dataclass(eq=False, slots=True, kw_only=True)
class Made:
    """A machine that an engine took in.

    Attributes:
        uid: The engine's own id.
        endpoint: Which engine.
        name: Name of the machine.
        token: The token in its label, inherited or not; "" = none.
        of: The name in its label; "" = none.
        appears: From when on it is there, by the steady clock.
        want: What it was made for; None = a person or a test made it by other means.
        named: Who tracks it and may delete it by that: it came while its name was tracked, or after the
            session began.
        old: Whether it has looked older than the time for which labels protect it.
        gone: Whether the engine has begun to delete it.
        gone_at: Until when the engine lists it, by the steady clock.
    """

    uid: str
    endpoint: str
    name: str
    token: str
    of: str
    appears: float
    want: Want | None = None
    named: list[Named] = field(default_factory=list[Named])
    old: bool = False
    gone: bool = False
    gone_at: float = math.inf


class Truth:
    """All of that.

    Attributes:
        clock: The world's.
        processes: All that ever were.
        machines: All that ever were, by uid.
        protected: State folder, engine and name of what is protected.
        story: What happened, for a person to read.
        wrongs: What should never have happened.
        actor: Which process acts; None: a person does, or a test by other means.
    """

    def __init__(self, clock: WorldClock) -> None:
        self.clock: Final = clock
        self.processes: Final[list[Process]] = []
        self.machines: Final[dict[str, Made]] = {}
        self.protected: Final[set[tuple[Path, str, str]]] = set()
        self.story: Final[list[str]] = []
        self.wrongs: Final[list[str]] = []
        self.actor: Process | None = None

    def tell(self, text: str) -> None:
        """Add a line to the story."""
        self.story.append(f"{self.clock.monotonic():9.1f} s, {self.clock.time() - 1.7e9:+.1f}: {text}")

    def there(self, endpoint: str = "") -> Iterator[Made]:
        """Yield the machines that are there, on one engine or all."""
        now = self.clock.monotonic()
        for made in self.machines.values():
            if not made.gone and made.appears <= now and endpoint in ("", made.endpoint):
                yield made

    def find(self, endpoint: str, name: str) -> Made | None:
        """Return the machine of that name that is there."""
        return next((made for made in self.there(endpoint) if made.name == name), None)

    def is_listed(self, endpoint: str, name: str) -> bool:
        """Whether the engine lists a machine of that name, perhaps one that it is deleting."""
        now = self.clock.monotonic()
        return any(made.appears <= now < made.gone_at for made in self._called(endpoint, name))

    def _called(self, endpoint: str, name: str) -> Iterator[Made]:
        for made in self.machines.values():
            if (made.endpoint, made.name) == (endpoint, name):
                yield made

    def created(self, made: Made) -> float:
        """Return what the wall clock showed when it appeared."""
        return self.clock.wall_at(made.appears)

    def books(self, folder: Path) -> Iterator[Book]:
        """Yield the ledgers of a state folder."""
        return read_books(folder)

    # -- what happens

    def ask(self, want: Want) -> None:
        """Note that a session asks an engine for a machine."""
        now = self.clock.monotonic()
        want.contested = any(now < made.gone_at for made in self._called(want.endpoint, want.name))
        want.process.wants.append(want)

    def take_in(self, endpoint: str, seen: Seen) -> None:
        """Note that an engine has a new machine, or will have."""
        made = Made(
            uid=seen.uid,
            endpoint=endpoint,
            name=seen.name,
            token=seen.labels.get(LABEL_TOKEN, ""),
            of=seen.labels.get(LABEL_NAME, ""),
            appears=seen.appears,
        )
        self.machines[seen.uid] = made
        # All who asked come before all who track: what a session has made isn't made by other means.
        for process in self.processes:
            for want in process.wants:
                if (want.endpoint, want.name) == (endpoint, seen.name):
                    if want.ended is Ended.OPEN:
                        want.machine, made.want = made, want
                    else:
                        want.contested = True
        for process in self.processes:
            for named in process.named:
                if named.active and process.alive:
                    self.name(named, made)

    def name(self, named: Named, made: Made) -> None:
        """Note that a machine is the one that a session tracks, if it is."""
        same = (named.endpoint, named.name) == (made.endpoint, made.name)
        counts = named.seen_absent or self.created(made) >= named.process.began
        if same and counts and not made.token and made.want is None:
            made.named.append(named)

    def pass_time(self) -> None:
        """Note what a rule's time has brought about."""
        now, wall = self.clock.monotonic(), self.clock.time()
        for process in self.processes:
            for want in process.wants:
                over = wall - (want.began + want.takes + TOMBSTONE_S)
                since = max(now - over, self.clock.last_set)
                if over >= 0 and (want.machine is None or want.machine.appears > since):
                    want.forgotten = True
        for made in self.there():
            made.old = made.old or wall - self.created(made) > EXPIRY_S
