"""What orbctl's JSON says, in the interface's values; it runs nothing.

It takes more than orbctl is known to write: a banner in front, unknown keys, null, compact or
indented, a flat record or one under "record". What it can't take it refuses: it never guesses.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Final, cast

from vmharness.provider import MachineInfo, MachineState

__all__ = ["parse_info", "parse_list", "ulid_time"]

_STATES: Final = {
    "creating": MachineState.CREATING,
    "provisioning": MachineState.CREATING,
    "running": MachineState.RUNNING,
    "stopped": MachineState.STOPPED,
    "deleting": MachineState.DELETING,
}
_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def parse_list(stdout: str) -> Sequence[MachineInfo]:
    """Read what `list --format json` wrote; OrbStack's built-in machines are left out.

    Raises:
        ValueError: It is not a complete listing.
    """
    rows = _load(stdout)
    if rows is None:
        return ()
    if not isinstance(rows, list):
        raise ValueError(f"no array of machines in {stdout!r}")
    found = (_machine(row) for row in cast("list[object]", rows))
    return tuple(machine for machine in found if machine is not None)


def parse_info(stdout: str) -> MachineInfo | None:
    """Read what `info NAME --format json` wrote; None for a built-in machine.

    Raises:
        ValueError: It says no machine.
    """
    return _machine(_load(stdout))


def ulid_time(ulid: str) -> float | None:
    """Return the time in a ULID's first ten characters in seconds since the epoch, or None if it is none."""
    head = ulid[:10].upper()
    if len(ulid) != 26 or head[0] > "7" or not set(head) <= set(_CROCKFORD):
        return None
    milliseconds = 0
    for character in head:
        milliseconds = milliseconds * 32 + _CROCKFORD.index(character)
    return milliseconds / 1000


def _load(stdout: str) -> object:
    """Read the first JSON value of the output, behind a banner if there is one."""
    start = re.search(r"[\[{]", stdout)
    if start is None:
        if stdout.split()[-1:] == ["null"]:
            return None
        raise ValueError(f"no JSON in {stdout!r}")
    # Never from a later bracket: a listing that was cut off would then read as one machine.
    value, _ = json.JSONDecoder().raw_decode(stdout, start.start())
    return cast("object", value)


def _machine(value: object) -> MachineInfo | None:
    """Read a machine: flat as `list` writes it, or under "record" with its address as `info` does."""
    whole = _fields(value)
    record = _fields(whole.get("record")) or whole
    name = _text(record.get("name"))
    if not name:
        raise ValueError(f"no machine's name in {value!r}")
    if record.get("builtin") is True:
        return None
    image = _fields(record.get("image"))
    created_at = ulid_time(_text(record.get("id")))
    return MachineInfo(
        name=name,
        state=_STATES.get(_text(record.get("state")), MachineState.OTHER),
        image=":".join(filter(None, (_text(image.get("distro")), _text(image.get("version"))))),
        created_at=created_at,
        created_resolution=0.0 if created_at is None else 0.001,
        labels=None,
        address=_text(whole.get("ip4")) or _text(whole.get("ip6")),
    )


def _fields(value: object) -> Mapping[str, object]:
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
