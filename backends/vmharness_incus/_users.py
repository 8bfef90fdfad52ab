"""Users of a machine by name, since the engine runs commands by number; it asks nothing."""

from __future__ import annotations

__all__ = ["exec_flags"]


def exec_flags(user: str, passwd: str, *, cwd: str = "") -> list[str]:
    """Return the flags with which `exec` runs a command as a user, in his home unless a folder is given.

    Args:
        user: Name or number of the user.
        passwd: The machine's /etc/passwd.
        cwd: Working directory; "" = the user's home.

    Raises:
        LookupError: The machine has no such user.
    """
    for line in passwd.splitlines():
        fields = line.split(":")
        if len(fields) >= 7 and user in (fields[0], fields[2]):
            name, _, uid, gid, _, home, _ = fields[:7]
            return [
                f"--user={uid}",
                f"--group={gid}",
                f"--env=HOME={home}",
                f"--env=USER={name}",
                f"--cwd={cwd or home or '/'}",
            ]
    if user.isascii() and user.isdecimal():  # a number needs no name
        return [f"--user={user}", *([f"--cwd={cwd}"] if cwd else [])]
    raise LookupError(f"it has no user {user!r}")
