"""Names of machines, made and checked; it knows no engine.

A generated name fits every engine that we know of: OrbStack's 40 characters are the tightest.
"""

from __future__ import annotations

import re
import secrets
import zlib
from collections.abc import Callable
from typing import Final

from vmharness.errors import SettingsError

__all__ = [
    "check_name",
    "check_prefix",
    "check_sweep_prefix",
    "check_tracked",
    "is_made_up",
    "make_name",
    "mark",
    "new_token",
]

_LONGEST: Final = 40
_LONGEST_PREFIX: Final = 16
_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz234567"
# 8 characters of 32 are 40 random bits, as promised; by 2 more a name can be told from one that others made.
_RANDOM_LENGTH: Final = 8
_MARK_LENGTH: Final = 2
_NAME: Final = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
_PREFIX: Final = re.compile(r"[a-z][a-z0-9-]*")
_FOREIGN: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}")


def check_name(name: str) -> str:
    """Return a name for a machine that is to be made, or raise SettingsError."""
    if not _NAME.fullmatch(name):
        raise SettingsError(
            f"cannot name a machine {name!r}: use 1 to 63 lower-case ASCII letters, digits and hyphens, "
            "a letter first, and no hyphen last; or leave the name out to get one"
        )
    return name


def check_tracked(name: str) -> str:
    """Return the name of a machine that others make, or raise SettingsError."""
    if not _FOREIGN.fullmatch(name):
        raise SettingsError(
            f"cannot track a machine named {name!r}: use 1 to 255 ASCII letters, digits, dots, hyphens and "
            "underscores, no hyphen or dot first"
        )
    return name


def check_prefix(prefix: str) -> str:
    """Return the prefix of our own names, or raise SettingsError."""
    if not _PREFIX.fullmatch(prefix) or len(prefix) > _LONGEST_PREFIX:
        raise SettingsError(
            f"cannot use {prefix!r} as the prefix of names: use 1 to {_LONGEST_PREFIX} lower-case ASCII "
            "letters, digits and hyphens, a letter first"
        )
    return prefix


def check_sweep_prefix(prefix: str) -> str:
    """Return a prefix of names to sweep, or raise SettingsError; the empty one would mean every machine."""
    if not prefix:
        raise SettingsError("cannot sweep by the empty prefix: it would match every machine of the engine")
    return check_tracked(prefix)


def make_name(prefix: str, test_id: str, *, choose: Callable[[str], str] = secrets.choice) -> str:
    """Make a name that nobody has: the prefix, what fits of the test's id, 40 random bits, and a mark.

    Args:
        prefix: Begins the name; checked.
        test_id: The test's whole id; its end, which tells tests apart, is what is kept of it.
        choose: Picks one character of a text; tests pass their own.
    """
    check_prefix(prefix)
    random = "".join(choose(_ALPHABET) for _ in range(_RANDOM_LENGTH))
    room = _LONGEST - len(prefix) - len(random) - _MARK_LENGTH - 2
    slug = re.sub(r"[^a-z0-9]+", "-", test_id.rpartition("::")[2].lower().removeprefix("test_"))
    slug = slug.strip("-")[:room].strip("-")
    name = "-".join(part for part in (prefix.strip("-"), slug, random) if part)
    return name + mark(name)


def mark(name: str) -> str:
    """Return the two characters that end a name which we make, and that only one in 1024 others ends with."""
    sum = zlib.crc32(name.encode())
    return _ALPHABET[sum % 32] + _ALPHABET[sum // 32 % 32]


def is_made_up(name: str) -> bool:
    """Whether `make_name` made the name; of those that others chose, one in 1024 may look so."""
    head, end = name[:-_MARK_LENGTH], name[-_MARK_LENGTH:]
    random = head.rpartition("-")[2]
    return len(random) == _RANDOM_LENGTH and set(random) <= set(_ALPHABET) and mark(head) == end


def new_token() -> str:
    """Make a token of 128 random bits, as 32 hexadecimal digits."""
    return secrets.token_hex(16)
