"""What shall go wrong, and on which calls; it knows neither the engine nor how it goes wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final, Literal

from vmharness.errors import SettingsError

__all__ = ["Fault", "Faults", "Kind", "Verb"]

Verb = Literal["create", "list", "delete", "exists", "inspect", "run", "describe", "*"]
Kind = Literal["busy", "busy-creating", "fails", "late", "lies", "lost", "slow", "unavailable"]

_KINDS: Final[Mapping[str, frozenset[str]]] = {
    "create": frozenset({"fails", "late", "lost", "slow", "unavailable"}),
    "delete": frozenset({"busy", "busy-creating", "fails", "lies", "slow", "unavailable"}),
    **dict.fromkeys(("list", "exists", "inspect", "run", "describe", "*"), frozenset({"unavailable"})),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    ===============  ===================================================================================
    `unavailable`    any verb, and `*` for all of them: EngineUnavailable; from create CreateFailed
    `fails`          create: CreateFailed, nothing is made. delete: DeleteFailed, the machine stays
    `slow`           create, delete: it takes that many seconds longer; finished even after its deadline
    `late`           create: CreateTimeout at the deadline, and that many seconds later the machine appears
                     (`math.inf`: never)
    `lost`           create: the machine is made, the answer is lost: CreateUnsettled
    `lies`           delete: says that it is done, and isn't
    `busy`           delete: Busy
    `busy-creating`  delete: Busy while the machine is being created
    ===============  ===================================================================================

    Attributes:
        verb: Which calls.
        kind: How they go wrong.
        first: The first call that goes wrong. Calls that match verb and name are counted from 1, in all
            processes together, beginning when the store's `set_faults` was called.
        last: The last one; None = all that follow.
        seconds: For `slow` and `late`.
        name: Only calls for machines whose name begins so.
    """

    verb: Verb
    kind: Kind
    first: int = 1
    last: int | None = None
    seconds: float = 0.0
    name: str = ""

    def __post_init__(self) -> None:
        if self.kind not in _KINDS.get(self.verb, ()):
            known = "; ".join(f"{verb}: {', '.join(sorted(kinds))}" for verb, kinds in _KINDS.items())
            raise SettingsError(f"cannot make {self.verb!r} go wrong by {self.kind!r}; there are {known}")

    def key(self) -> str:
        """Return a text that tells it from other faults."""
        return json.dumps(asdict(self))


@dataclass(frozen=True, slots=True)
class Faults:
    """All that shall go wrong."""

    rules: tuple[Fault, ...] = ()

    def dump(self) -> str:
        """Return them as JSON: a list of objects with Fault's attributes."""
        return json.dumps([asdict(rule) for rule in self.rules], indent=1)

    @classmethod
    def load(cls, text: str) -> Faults:
        """Read them back; raise SettingsError if the text is malformed."""
        try:
            return cls(tuple(Fault(**rule) for rule in json.loads(text)))
        except (TypeError, ValueError) as exc:
            raise SettingsError(f"cannot read the fake engine's faults: {exc}") from exc

    def strike(self, verb: str, name: str, counts: dict[str, int]) -> Mapping[str, Fault]:
        """Count a call, and return the faults that strike it, by kind.

        Args:
            verb: Which verb is called.
            name: Name of the machine, or "".
            counts: How many calls each fault has met, by its key; updated.
        """
        striking: dict[str, Fault] = {}
        for rule in self.rules:
            if rule.verb not in {"*", verb} or not name.startswith(rule.name):
                continue
            count = counts[rule.key()] = counts.get(rule.key(), 0) + 1
            if rule.first <= count and (rule.last is None or count <= rule.last):
                striking[rule.kind] = rule
        return striking
