"""What a run says at its end, from what each of its processes did; it knows no terminal and no pytest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from vmharness._model import State
from vmharness._session import Session

__all__ = ["Left", "Part", "lines", "part_of"]


@dataclass(frozen=True, kw_only=True)
class Left:
    """A machine that is not known to be gone, and the command that removes it."""

    name: str
    backend: str
    scope: str
    why: str
    command: str
    seen: bool


@dataclass(kw_only=True)
class Part:
    """What one process of the run did. Travels between processes as plain values."""

    created: int = 0
    deleted: int = 0
    swept: int = 0
    engines: list[str] = field(default_factory=list[str])
    reports: list[str] = field(default_factory=list[str])
    left: list[Left] = field(default_factory=list[Left])

    def to_plain(self) -> dict[str, Any]:
        """Return it as numbers, texts, lists and dictionaries."""
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Part:
        """Return what `to_plain` was made of."""
        part = cls(**plain)
        part.left = [Left(**left) for left in plain["left"]]
        return part


# What there is to say of a machine that is left where nothing went wrong.
_WHY: Final = {State.MAYBE: "nobody knows whether it was made"}


def part_of(session: Session) -> Part:
    """Return what this process did, and what is left of it."""
    tally = session.tally
    left = [
        Left(
            name=record.name,
            backend=record.backend,
            scope=record.scope,
            why=record.error or _WHY.get(record.state, "the run was interrupted"),
            command=session.removal(record),
            seen=record.state not in (State.MAYBE, State.WANTED),
        )
        for record in session.unfinished()
    ]
    return Part(
        created=tally.created,
        deleted=tally.deleted,
        swept=tally.swept,
        engines=list(tally.engines.values()),
        reports=list(tally.reports),
        left=left,
    )


def lines(parts: Iterable[Part]) -> Sequence[str]:
    """Return the summary's lines; none if no machine was concerned."""
    parts = list(parts)
    left = [item for part in parts for item in part.left]
    created, deleted, swept = (
        sum(getattr(p, name) for p in parts) for name in ("created", "deleted", "swept")
    )
    reports = list(dict.fromkeys(report for part in parts for report in part.reports))
    if not any((created, deleted, swept, reports, left, *(part.engines for part in parts))):
        return []
    text = [*dict.fromkeys(engine for part in parts for engine in part.engines), *reports]
    seen = [item for item in left if item.seen]
    text.append(f"machines: {created} created, {deleted} deleted, {swept} swept, {len(seen)} left")
    for item in left:
        of = f" of {item.scope}" if item.scope else ""
        if item.seen:
            text.append(f"left: {item.name}{of} ({item.backend}): {item.why}")
        else:
            text.append(
                f"unsettled: {item.name}{of} ({item.backend}): {item.why}; the next session looks again"
            )
        text.append(f"    remove it with: {item.command}")
    return text
