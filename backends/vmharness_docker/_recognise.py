"""Creates in foreign command lines: which machine a `docker run` or `create` would make. It runs nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Final

__all__ = ["recognise"]

_PROGRAMS: Final = frozenset({"docker", "podman"})
_MAKES: Final = frozenset({"run", "create"})
# Flags in front of the command that take a value.
_GLOBAL: Final = frozenset(
    {
        "-H",
        "--host",
        "-c",
        "--context",
        "-l",
        "--log-level",
        "--config",
        "--tlscacert",
        "--tlscert",
        "--tlskey",
    }
)
# Letters that take no value, so that others may follow in the same word.
_PLAIN: Final = frozenset("ditPq")
# Flags that take none; all others of `run` and `create` do.
_SWITCHES: Final = frozenset(
    {
        *("--detach", "--disable-content-trust", "--init", "--interactive", "--no-healthcheck"),
        *("--oom-kill-disable", "--privileged", "--publish-all", "--quiet", "--read-only", "--rm"),
        *("--sig-proxy", "--tty", "--use-api-socket"),
    }
)


def recognise(argv: Sequence[str]) -> str | None:
    """Return the name of the machine that a command would make, "" if the engine makes one up, else None."""
    if not argv or PurePath(argv[0]).name not in _PROGRAMS:
        return None
    args = _after_globals(argv[1:])
    if args[:1] == ["container"]:
        args = args[1:]
    if not args or args[0] not in _MAKES:
        return None
    return _name(args[1:])


def _after_globals(args: Sequence[str]) -> list[str]:
    left = list(args)
    while left and left[0].startswith("-"):
        flag = left.pop(0)
        if flag in _GLOBAL:
            del left[:1]
    return left


def _name(args: Sequence[str]) -> str | None:
    """Return what `--name` says; the first word that belongs to no flag is the image, and ends them."""
    left = list(args)
    name = ""
    while left:
        word = left.pop(0)
        if word == "--help":
            return None
        if word == "--" or not word.startswith("-"):
            break
        if not word.startswith("--"):
            letters = word[1:].lstrip("".join(_PLAIN))
            if len(letters) == 1:
                del left[:1]  # the value is the next word
            continue
        flag, equals, value = word.partition("=")
        if flag in _SWITCHES:
            continue
        if not equals:
            value = left.pop(0) if left else ""
        if flag == "--name":
            name = value
    return name
