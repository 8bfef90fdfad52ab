"""What is in the lines of ledgers and inboxes; it knows no file and no lock."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from typing import Any, Final, cast

from vmharness._inbox import News
from vmharness._model import Record, State

__all__ = ["CLAIMED_LINE", "VERSION", "line_of", "merge", "parse"]

VERSION: Final = 1
_CLAIMED: Final = {"claimed": True}
# Says that somebody has taken the ledger over from its owner, who is dead.
CLAIMED_LINE: Final = json.dumps(_CLAIMED).encode() + b"\n"
_KINDS: Final[dict[str, type | tuple[type, ...]]] = {
    "str": str,
    "float": (int, float),
    "bool": bool,
    "State": str,
}


def line_of(record: Record) -> bytes:
    """Return a record as a ledger's line."""
    return json.dumps(asdict(record), ensure_ascii=True).encode() + b"\n"


def parse(content: bytes) -> tuple[Mapping[str, Any], dict[str, Record], list[str]]:
    """Return header, newest records and damage of a ledger's content.

    A last line without its end was cut off by a crash while it was written; nothing was done on its
    strength, so it is no damage.
    """
    records: dict[str, Record] = {}
    damage: list[str] = []
    header: Mapping[str, Any] = {}
    lines = content.split(b"\n")[:-1]
    if not lines:
        damage.append("it has no header")
    for number, line in enumerate(lines, start=1):
        try:
            value = _object(line)
            if number == 1:
                header = _header(value)
            elif value == _CLAIMED:
                header = {**header, **_CLAIMED}
            else:
                record = _record(value)
                records[record.id] = record
        except (ValueError, TypeError, KeyError, RecursionError) as exc:
            damage.append(f"line {number} can't be read ({exc})")
            if number == 1:
                break  # what an unknown version's lines mean is unknown as well
    return header, records, damage


def merge(news: News, records: dict[str, Record]) -> tuple[Sequence[Record], Sequence[str], Sequence[str]]:
    """Add what an inbox says to the records, which win where they know more.

    Returns:
        The records that are new or were changed, what is to be reported, and damage.
    """
    changed: dict[str, Record] = {}
    notes: list[str] = []
    damage = list(news.damage)
    for value in news.lines:
        try:
            if "note" in value:
                notes.append(str(value["note"]))
            elif "seen" in value:
                for record in _seen(records, value["seen"], value["endpoint"]):
                    records[record.id] = changed[record.id] = record
            else:
                record = _record(value)
                if record.id not in records:
                    records[record.id] = changed[record.id] = record
        except (ValueError, TypeError, KeyError) as exc:
            damage.append(f"a line of its inbox can't be read ({exc})")
    return list(changed.values()), notes, damage


def _seen(records: Mapping[str, Record], names: Sequence[str], endpoint: str) -> Sequence[Record]:
    """Return as made those of which nobody knew whether they were: their names were seen since."""
    return [
        replace(record, state=State.RUNNING)
        for record in records.values()
        if record.name in names and record.endpoint == endpoint
        if record.state in (State.WANTED, State.MAYBE) and not record.tracked
    ]


def _object(line: bytes) -> dict[str, Any]:
    value = json.loads(line)
    if not isinstance(value, dict):
        raise TypeError("no object")
    return cast("dict[str, Any]", value)


def _header(value: dict[str, Any]) -> dict[str, Any]:
    version = value["vmharness"]
    if version != VERSION:
        raise ValueError(f"format {version!r}, this vmharness reads {VERSION}: use the version that wrote it")
    return value


def _record(value: Mapping[str, Any]) -> Record:
    known: dict[str, Any] = {}
    for field in fields(Record):
        if field.name in value:
            if not isinstance(value[field.name], _KINDS[str(field.type)]):
                raise TypeError(f"{field.name} is {value[field.name]!r}")
            known[field.name] = value[field.name]
    known["state"] = State(known["state"])
    return Record(**known)
