"""Reads the arguments of `orbctl` and `orb`, for their front-ends; every call of them loads it.

See `vmharness.provider.Fronts`. Flags are read as Go's pflag does, anywhere before `--`; one that isn't known
may take a value, and then the name can't be read off.
"""

from __future__ import annotations

import json
import os

__all__ = [
    "elsewhere",
    "follows",
    "look_args",
    "recognise_create",
    "recognise_delete",
    "seen",
    "with_labels",
    "with_name",
    "with_receipt",
]

# Of each command that makes a machine or lets it go: its flags that take a value, and those that take none.
_CREATE = (
    ("-a", "--arch", "-u", "--user", "-c", "--user-data", "--cpus", "--memory", "--disk", "--mount"),
    ("-p", "--set-password", "--isolated", "--isolate-network", "--forward-ssh-agent"),
)
_FLAGS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "create": _CREATE,
    "add": _CREATE,
    "new": _CREATE,
    "clone": ((), ()),
    "import": (("-n", "--name"), ()),
    "rename": ((), ()),
    "delete": ((), ("-f", "--force", "-a", "--all")),
    "rm": ((), ("-f", "--force", "-a", "--all")),
}
_DELETES = ("delete", "rm")
# OrbStack's own machines, of which it makes no second one.
_OWN = ("docker", "k8s")
# What stands for all machines among the words of a delete; no machine can be called so.
_ALL = "*"


def recognise_create(args: list[str]) -> str | None:
    """Return the name of the machine that a command would make, "" if it can't be read off, else None."""
    if not args or args[0] not in _FLAGS or args[0] in _DELETES:
        return None
    verb = args[0]
    read = _read(args[1:], *_FLAGS[verb])
    if read is None:
        return ""
    options, words = read
    if "-h" in options or "--help" in options:
        return None
    if verb == "import":
        return options.get("--name") or options.get("-n") or ""
    if verb in ("clone", "rename"):
        return words[1] if len(words) == 2 else ""
    # Without a name, the machine is called after its distro.
    name = words[1] if len(words) == 2 else words[0].partition(":")[0] if len(words) == 1 else ""
    return None if name in _OWN else name


def follows(args: list[str]) -> bool:
    """Whether the machine of that name will be one that is there already, by another name."""
    return args[:1] == ["rename"]


def recognise_delete(args: list[str]) -> list[str]:
    """Return names and IDs of machines that may be gone after the command, or not called so any more."""
    verb = args[0] if args else ""
    read = _read(args[1:], *_FLAGS[verb]) if verb in (*_DELETES, "rename") else None
    if read is None:
        return []
    options, words = read
    if "-a" in options or "--all" in options:
        return [_ALL]
    return words[:1] if verb == "rename" else words


def elsewhere(args: list[str], endpoint: str) -> str:
    """Say why a create can't be recorded; "" = it can. One login user has one OrbStack."""
    del endpoint
    return "" if recognise_create(args) else "the machine's name can't be read off"


def with_name(args: list[str], name: str) -> tuple[list[str], str]:
    """Return the arguments as they are: OrbStack makes no name up."""
    del name
    return args, ""


def with_labels(args: list[str], labels: dict[str, str]) -> list[str]:
    """Return the arguments as they are: OrbStack keeps no labels."""
    del labels
    return args


def with_receipt(args: list[str], path: str) -> tuple[list[str], bool]:
    """Return the arguments as they are, and that a receipt may be written: by vmharness' own orbctl.

    OrbStack's doesn't know of the variable, and leaves the file empty, which says nothing.
    """
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    os.environ["VMHARNESS_ORBCTL_RECEIPT"] = path
    return args, True


def look_args() -> list[str]:
    """Return arguments with which orbctl lists all machines."""
    return ["list", "--format", "json"]


def seen(output: str, words: list[str]) -> list[str]:
    """Return the names of those machines in a listing which the words, names or IDs, mean."""
    try:
        machines = json.loads(output[output.index("[") : output.rindex("]") + 1])
        there = [(str(machine["name"]), str(machine.get("id"))) for machine in machines]
    except (ValueError, TypeError, KeyError, AttributeError):
        return []
    return [name for name, id in there if name in words or id in words or _ALL in words]


def _read(
    args: list[str], valued: tuple[str, ...], plain: tuple[str, ...]
) -> tuple[dict[str, str], list[str]] | None:
    """Split flags from words; None if a flag isn't known."""
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
        elif flag in plain or flag in ("-h", "--help"):
            options[flag] = value
            if value and not equals:  # several letters in one word
                left.insert(0, f"-{value}")
        else:
            return None
    return options, words
