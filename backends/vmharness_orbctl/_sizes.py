"""The limits of a create, from what was typed to numbers; it knows no machine."""

from __future__ import annotations

import re

from vmharness_orbctl._failure import Failure, oops

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmharness_orbctl._types import Order

__all__ = ["limits"]

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def limits(order: Order) -> dict[str, int]:
    """Return the limits as `info` says them; raise Failure for one that can't be read, or is refused."""
    found: dict[str, int] = {}
    if order["memory"]:
        found["memory_limit_mib"] = _bytes("memory", order["memory"]) >> 20
        if found["memory_limit_mib"] <= 512:
            raise oops(f"create '{order['name']}': memory limit is too low")  # (guess)
    if order["cpus"]:
        if not order["cpus"].isdecimal():
            raise Failure(f'Error: invalid argument "{order["cpus"]}" for "--cpus" flag')
        found["cpu_limit"] = int(order["cpus"])
    if order["disk"]:
        found["disk_limit_bytes"] = _bytes("disk", order["disk"])
    return found


def _bytes(flag: str, text: str) -> int:
    found = re.fullmatch(r"(\d+)([KMGT]?)i?B?", text, re.IGNORECASE)
    if found is None:
        raise Failure(f'Error: invalid argument "{text}" for "--{flag}" flag')
    return int(found[1]) * _UNITS[found[2].upper()]
