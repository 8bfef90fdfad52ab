"""Creates in foreign command lines: which machine an `incus` or `lxc` would make. It runs nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Final

__all__ = ["recognise"]

_PROGRAMS: Final = frozenset({"incus", "lxc"})
_EVERYWHERE: Final = frozenset({"--project"})
# Of each command that makes an instance: its flags that take a value.
_LAUNCH: Final = _EVERYWHERE | {
    *("-c", "--config", "-d", "--device", "-n", "--network", "-p", "--profile", "-s", "--storage"),
    *("-t", "--type", "--target", "--description", "--console"),
}
_COPY: Final = _EVERYWHERE | {
    *("-c", "--config", "-d", "--device", "-p", "--profile", "-s", "--storage", "--mode", "--target"),
    "--target-project",
}
_VALUED: Final = {
    "copy": _COPY,
    "cp": _COPY,
    "create": _LAUNCH,
    "init": _LAUNCH,
    "launch": _LAUNCH,
}
# May stand alone, and then takes no value.
_OPTIONAL: Final = frozenset({"--console"})


def recognise(argv: Sequence[str]) -> str | None:
    """Return the name of the machine that a command would make, "" if the engine makes one up, else None.

    A name with a remote, as `remote:name`, is returned without it.
    """
    if not argv or PurePath(argv[0]).name not in _PROGRAMS:
        return None
    words = _words(argv[1:], _EVERYWHERE)
    if words is None or not words or words[0] not in _VALUED:
        return None
    verb = words[0]
    words = _words(argv[1:], _VALUED[verb])
    if words is None:
        return None
    named = words[2] if len(words) > 2 else ""
    return named.rpartition(":")[2]


def _words(args: Sequence[str], valued: frozenset[str]) -> list[str] | None:
    """Return the words that belong to no flag, the command first; None if only help is asked for."""
    left = list(args)
    words: list[str] = []
    while left:
        word = left.pop(0)
        if word == "--":
            return words + left
        if word in ("-h", "--help"):
            return None
        if word == "-" or not word.startswith("-"):
            words.append(word)
        elif word in valued - _OPTIONAL:
            del left[:1]
    return words
