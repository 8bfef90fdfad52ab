"""How much a check of the conformance kit matters; it knows no check, and not pytest either."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final, TypeVar

__all__ = ["Level", "level_of", "may", "should"]

_ATTRIBUTE: Final = "contract_level"

C = TypeVar("C", bound=Callable[..., Any])


class Level(StrEnum):
    """What a check asks of a backend.

    MUST: every backend keeps it; the framework loses machines, or deletes wrong ones, where it isn't kept.
    SHOULD: every backend had better keep it; without it nothing is lost but comfort. MAY: a capability,
    which a backend may leave out; one that has it keeps what it says, as it would a MUST.
    """

    MUST = "must"
    SHOULD = "should"
    MAY = "may"


def should(check: C) -> C:
    """Mark a check as one that a backend should pass."""
    setattr(check, _ATTRIBUTE, Level.SHOULD)
    return check


def may(check: C) -> C:
    """Mark a check as one of a capability."""
    setattr(check, _ATTRIBUTE, Level.MAY)
    return check


def level_of(check: Callable[..., Any]) -> Level:
    """Return the level of a check; one that isn't marked is a MUST."""
    level: Level = getattr(check, _ATTRIBUTE, Level.MUST)
    return level
