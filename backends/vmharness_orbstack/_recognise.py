"""Creates in foreign command lines: which machine an `orbctl` or `orb` would make. It runs nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Final

__all__ = ["recognise"]

_PROGRAMS: Final = frozenset({"orb", "orbctl"})
# Of each command that makes a machine: its flags that take a value, and those that take none.
_CREATE: Final = (
    frozenset(
        {"-a", "--arch", "-u", "--user", "-c", "--user-data", "--cpus", "--memory", "--disk", "--mount"}
    ),
    frozenset({"-p", "--set-password", "--isolated", "--isolate-network", "--forward-ssh-agent"}),
)
_FLAGS: Final = {
    "create": _CREATE,
    "add": _CREATE,
    "new": _CREATE,
    "clone": (frozenset[str](), frozenset[str]()),
    "import": (frozenset({"-n", "--name"}), frozenset[str]()),
}


def recognise(argv: Sequence[str]) -> str | None:
    """Return the name of the machine that a command would make, "" if it can't be read off, else None."""
    if len(argv) < 2 or PurePath(argv[0]).name not in _PROGRAMS or argv[1] not in _FLAGS:
        return None
    verb = argv[1]
    read = _read(argv[2:], *_FLAGS[verb])
    if read is None:
        return ""
    options, words = read
    if {"-h", "--help"} & set(options):
        return None
    if verb == "import":
        return options.get("--name") or options.get("-n") or ""
    if verb == "clone":
        return words[1] if len(words) == 2 else ""
    # Without a name, the machine is called after its distro.
    return words[1] if len(words) == 2 else words[0].partition(":")[0] if len(words) == 1 else ""


def _read(
    args: Sequence[str], valued: frozenset[str], plain: frozenset[str]
) -> tuple[dict[str, str], list[str]] | None:
    """Split flags from words as Go's pflag does; None if a flag isn't known, for it may take a value."""
    plain |= {"-h", "--help"}
    options: dict[str, str] = {}
    words: list[str] = []
    left = list(args)
    while left:
        word = left.pop(0)
        if word == "--":
            return options, words + left
        if word == "-" or not word.startswith("-"):
            words.append(word)
            continue
        flag, equals, value = word.partition("=") if word.startswith("--") else (word[:2], "", word[2:])
        if flag in valued:
            if not equals and not value:
                if not left:
                    return None
                value = left.pop(0)
            options[flag] = value.removeprefix("=")
        elif flag in plain:
            options[flag] = value
            if value and not equals:  # several letters in one word
                left.insert(0, f"-{value}")
        else:
            return None
    return options, words
