"""Reads the arguments of `incus` and `lxc`, for their front-ends; imports nothing, for every call loads it.

See `vmharness.provider.Fronts`. Options may stand anywhere before `--`; it needs to know which take no value.
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

# Options without a value; all others take one.
_FLAGS = frozenset(
    {
        "--allow-inconsistent",
        "--console",
        "--container-only",
        "--debug",
        "--empty",
        "--ephemeral",
        "--force",
        "--force-local",
        "--help",
        "--instance-only",
        "--interactive",
        "--no-profiles",
        "--quiet",
        "--refresh",
        "--refresh-exclude-older",
        "--stateless",
        "--sub-commands",
        "--verbose",
        "--version",
        "--vm",
    }
)
_SHORT_FLAGS = "efhiqv"
_MAKES = ("launch", "init", "create")
_COPIES = ("copy", "cp")
# What makes a machine of a name in ways that take no labels.
_OTHERS = ("import", "rename", "move", "mv")
_DELETES = ("delete", "rm", "stop")


def recognise_create(args: list[str]) -> str | None:
    """Return the name of the instance that will be there, "" if the engine makes one up; None: no create."""
    options, words = _parse(args)
    if not words or "--help" in options or "-h" in options:
        return None
    verb, *rest = words
    if verb in _MAKES:
        image = 0 if "--empty" in options else 1
        if len(rest) < image:
            return None
        return _plain(rest[image]) if len(rest) > image else ""
    if verb in (*_COPIES, *_OTHERS) and len(rest) == 2:
        # A snapshot is renamed, or copied to a snapshot, within its instance.
        # With --refresh it may be there, and is changed.
        return None if "/" in rest[1] or "--refresh" in options else _plain(rest[1])
    return None


def recognise_delete(args: list[str]) -> list[str]:
    """Return the names of instances of the usual remote that may be gone after the command."""
    _, words = _parse(args)
    if not words or words[0] not in _DELETES:
        return []
    return [word for word in words[1:] if "/" not in word]


def elsewhere(args: list[str], endpoint: str) -> str:
    """Say why a create can't be recorded, as it is of another remote or project; "" = it can."""
    options, words = _parse(args)
    remote, _, project = endpoint.partition("?")[0].partition(":")[2].partition("/")
    if words[0] in _OTHERS:
        return f"`{words[0]}` puts no label on an instance"
    for option in ("--project", "--target-project"):
        if options.get(option, project) != project:
            return f"it is of project {options[option]!r}"
    target = words[-1] if len(words) > 2 or "--empty" in options else ""
    if ":" in target and target.partition(":")[0] != remote:
        return f"it is of remote {target.partition(':')[0]!r}"
    return ""


def with_name(args: list[str], name: str) -> tuple[list[str], str]:
    """Return the arguments of a create, with a name, and the line that says a made-up one."""
    _, words = _parse(args)
    said = f"Instance name is: {name}\n"
    if words[-1].endswith(":") and len(words) > 2:  # a remote without a name
        last = len(args) - 1 - args[::-1].index(words[-1])
        return [*args[:last], words[-1] + name, *args[last + 1 :]], said
    return [*args, name], said


def with_labels(args: list[str], labels: dict[str, str]) -> list[str]:
    """Return the arguments of a create, with labels; in front, where no `--` has ended the options yet."""
    return [*(f"--config=user.{key}={value}" for key, value in labels.items()), *args]


def look_args() -> list[str]:
    """Return arguments with which the command lists all instances, without asking for their states."""
    return ["list", "--columns", "n", "--format", "csv"]


def seen(output: str, words: list[str]) -> list[str]:
    """Return the names of those instances in a listing which the words mean."""
    there = set(output.split())
    return [name for name in map(_plain, words) if name in there]


def _plain(name: str) -> str:
    """Return a name without its remote."""
    return name.rpartition(":")[2]


def _parse(args: list[str]) -> tuple[dict[str, str], list[str]]:
    """Return the options with their values, and the other words."""
    options: dict[str, str] = {}
    words: list[str] = []
    rest = iter(args)
    for arg in rest:
        if arg == "--":
            return options, [*words, *rest]
        if arg == "-" or not arg.startswith("-"):
            words.append(arg)
            continue
        option, equals, value = arg.partition("=")
        if not arg.startswith("--"):
            option, value, complete = _short(arg)
        else:
            complete = bool(equals) or option in _FLAGS
        options[option] = value if complete else next(rest, "")
    return options, words


def _short(arg: str) -> tuple[str, str, bool]:
    """Return the last option of some that are joined, its value, and whether that is all of it."""
    for number, letter in enumerate(arg[1:], start=1):
        if letter not in _SHORT_FLAGS:
            rest = arg[number + 1 :].removeprefix("=")
            return f"-{letter}", rest, bool(rest)
    return f"-{arg[-1]}", "", True
