"""The user that a machine is made for, as OrbStack makes one: with a home, and sudo without a password."""

from __future__ import annotations

from vmharness.command import describe_failure
from vmharness.errors import ProviderError
from vmharness.provider import RunsCommands

__all__ = ["add_user"]

# Small images have only the one or the other program, and some have neither.
_SCRIPT = """
    case $1 in -*|*[:/]*) echo "invalid user name" >&2; exit 1 ;; esac
    id -u -- "$1" >/dev/null 2>&1 && exit
    if command -v useradd; then
        useradd --create-home --shell /bin/sh -- "$1"
    elif command -v adduser; then
        adduser -D -s /bin/sh "$1"
    else
        number=$(($(cut -d : -f 3 /etc/passwd | grep -E '^[1-5][0-9]{3}$' | sort -n | tail -n 1) + 0))
        [ "$number" -ge 1000 ] || number=999
        number=$((number + 1))
        echo "$1:x:$number:$number::/home/$1:/bin/sh" >>/etc/passwd
        echo "$1:x:$number:" >>/etc/group
        mkdir -p "/home/$1"
        chown "$number:$number" "/home/$1"
    fi >&2 || exit
    [ ! -d /etc/sudoers.d ] || echo "$1 ALL=(ALL) NOPASSWD:ALL" >"/etc/sudoers.d/90-$1"
"""


def add_user(runner: RunsCommands, name: str, user: str, timeout: float) -> None:
    """Make a user in a machine, unless it has such a one, or not even a shell.

    Args:
        runner: Runs commands in the machine.
        name: Name of the machine.
        user: Name of the user.
        timeout: Seconds until the deadline.

    Raises:
        ProviderError: The machine has no such user now.
        TimeoutError: The deadline passed.
    """
    argv = ["sh", "-c", _SCRIPT, "sh", user]
    result = runner.run(name, argv, timeout=timeout, user="root")
    if result.status not in (0, 127):
        raise ProviderError(describe_failure("useradd", [user], result))
