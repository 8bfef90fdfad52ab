"""Users of a machine by name, since the engine runs commands by number; it asks nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["identity"]


def identity(user: str, passwd: str) -> Mapping[str, Any]:
    """Return the fields of a request that runs a command as a user, in his home.

    Args:
        user: Name or number of the user.
        passwd: The machine's /etc/passwd.

    Raises:
        LookupError: The machine has no such user.
    """
    for line in passwd.splitlines():
        fields = line.split(":")
        if len(fields) >= 7 and user in (fields[0], fields[2]) and _is_number(fields[2], fields[3]):
            name, _, uid, gid, _, home, _ = fields[:7]
            return {
                "user": int(uid),
                "group": int(gid),
                "cwd": home or "/",
                "environment": {"HOME": home, "USER": name},
            }
    if _is_number(user):  # a number needs no name
        return {"user": int(user)}
    raise LookupError(f"it has no user {user!r}")


def _is_number(*texts: str) -> bool:
    return all(text.isascii() and text.isdecimal() for text in texts)
