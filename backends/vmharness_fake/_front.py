"""Reads the arguments of the fake engine's own command, for its front-end; imports nothing.

See `vmharness.provider.Fronts`. There the command is called `fakectl`, whoever makes one of
`python -m vmharness_fake`.
"""

from __future__ import annotations

__all__ = [
    "elsewhere",
    "look_args",
    "recognise_create",
    "recognise_delete",
    "seen",
    "with_labels",
    "with_name",
]

_OPTIONS = ("--dir", "--timeout", "--image", "--label")


def recognise_create(args: list[str]) -> str | None:
    """Return the name of the machine that will be there, or None if the command makes none."""
    if args[:1] != ["create"]:
        return None
    names = _names(args[1:])
    return names[0] if len(names) == 1 else None


def recognise_delete(args: list[str]) -> list[str]:
    """Return the names of machines that may be gone after the command."""
    return _names(args[1:]) if args[:1] == ["delete"] else []


def elsewhere(args: list[str], endpoint: str) -> str:
    """Say why a create is of another engine; "" = it isn't."""
    for number, arg in enumerate(args):
        option, equals, value = arg.partition("=")
        if option == "--dir":
            folder = value if equals else "".join(args[number + 1 : number + 2])
            if f"folder:{folder}" != endpoint:
                return f"it is of the engine in {folder}"
    return ""


def with_name(args: list[str], name: str) -> tuple[list[str], str]:
    """Return the arguments with a name; this engine makes none up, so none is ever missing."""
    return [*args, name], ""


def with_labels(args: list[str], labels: dict[str, str]) -> list[str]:
    """Return the arguments of a create, with labels."""
    return [args[0], *(f"--label={key}={value}" for key, value in labels.items()), *args[1:]]


def look_args() -> list[str]:
    """Return arguments with which the command lists all machines."""
    return ["list"]


def seen(output: str, words: list[str]) -> list[str]:
    """Return the names of those machines in a listing which the words mean."""
    there = {line.partition("\t")[0] for line in output.splitlines()}
    return [word for word in words if word in there]


def _names(args: list[str]) -> list[str]:
    """Return the words that are neither options nor their values."""
    names: list[str] = []
    rest = iter(args)
    for arg in rest:
        if arg == "--":
            return [*names, *rest]
        if arg in _OPTIONS:
            next(rest, None)
        elif not arg.startswith("-"):
            names.append(arg)
    return names
