"""Reads the arguments of `docker`, for its front-end; imports nothing, for every call of `docker` loads it.

See `vmharness.provider.Fronts`. Of the option grammar it needs to know where options end and which take no
value: options of `docker` itself come before its command, those of a command before what it is about.
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
    "with_receipt",
]

# Options without a value, of `docker` itself and of its commands; all others take one.
_FLAGS = frozenset(
    {
        "--debug",
        "--detach",
        "--disable-content-trust",
        "--force",
        "--help",
        "--init",
        "--interactive",
        "--link",
        "--no-healthcheck",
        "--oom-kill-disable",
        "--privileged",
        "--publish-all",
        "--quiet",
        "--read-only",
        "--rm",
        "--sig-proxy",
        "--tls",
        "--tlsverify",
        "--tty",
        "--use-api-socket",
        "--version",
        "--volumes",
    }
)
# Of commands that delete, -l and -v are flags, too; of the others they take a value.
_SHORT_FLAGS = "DdhiPqt"
_SHORT_FLAGS_OF_DELETE = "flvh"
_CREATES = (("run",), ("create",), ("container", "run"), ("container", "create"))
# A machine that was started with --rm goes when it stops.
_DELETES = ("rm", "remove", "stop", "kill", "wait", "restart")
# What has a time or a signal as a value: -t, -s.
_STOPS = ("stop", "kill", "restart")
_RENAMES = (("rename",), ("container", "rename"))


def recognise_create(args: list[str]) -> str | None:
    """Return the name of the container that will be there, "" if Docker makes one up; None: no create."""
    verb = _verb(args)
    words = tuple(args[verb[0] : verb[1]])
    if words in _RENAMES:
        rest = args[verb[1] :]
        return rest[-1] if len(rest) == 2 else None
    if words not in _CREATES:
        return None
    options, rest = _options(args[verb[1] :])
    if not rest or "--help" in dict(options):
        return None  # an image is missing: docker will say so
    names = [value for option, value in options if option == "--name"]
    return names[-1] if names else ""


def recognise_delete(args: list[str]) -> list[str]:
    """Return names and ids of containers that may be gone after the command."""
    start, end = _verb(args)
    words = args[start:end]
    if not words or words[-1] not in _DELETES or words[:-1] not in ([], ["container"]):
        return []
    if words[-1] in _STOPS:
        return _options(args[end:], short_flags="h")[1]
    return _options(args[end:], short_flags=_SHORT_FLAGS_OF_DELETE)[1]


def elsewhere(args: list[str], endpoint: str) -> str:
    """Say why a create can't be recorded, as it is of another engine; "" = it can."""
    start, end = _verb(args)
    if tuple(args[start:end]) in _RENAMES:
        return "a container is followed by its name when it was made"
    for option, value in _options(args[:start])[0]:
        if option in ("-c", "--context"):
            return f"it is of the engine of context {value!r}"
        if option in ("-H", "--host") and value.rstrip("/") != endpoint.partition("?")[0]:
            return f"it is of the engine at {value!r}"
    return ""


def with_name(args: list[str], name: str) -> tuple[list[str], str]:
    """Return the arguments of a create, with a name; docker never prints the one that it makes up."""
    end = _verb(args)[1]
    return [*args[:end], f"--name={name}", *args[end:]], ""


def with_labels(args: list[str], labels: dict[str, str]) -> list[str]:
    """Return the arguments of a create, with labels."""
    end = _verb(args)[1]
    return [*args[:end], *(f"--label={key}={value}" for key, value in labels.items()), *args[end:]]


def with_receipt(args: list[str], path: str) -> tuple[list[str], bool]:
    """Return the arguments of a create that writes the container's id to a file, and whether it will.

    Docker makes that file before it asks for the container, and takes it away if none was made.
    """
    end = _verb(args)[1]
    if any(option == "--cidfile" for option, _ in _options(args[end:])[0]):
        return args, False
    return [*args[:end], f"--cidfile={path}", *args[end:]], True


def look_args() -> list[str]:
    """Return arguments with which docker lists all containers."""
    return ["ps", "--all", "--no-trunc", "--format", "{{.ID}} {{.Names}}"]


def seen(output: str, words: list[str]) -> list[str]:
    """Return the names of those containers in a listing which the words, names or ids, mean."""
    found: list[str] = []
    for line in output.splitlines():
        id, _, names = line.partition(" ")
        own = [name for name in names.split(",") if "/" not in name]  # others are links
        if own and any(word.lstrip("/") == own[0] or (word and id.startswith(word)) for word in words):
            found.append(own[0])
    return found


def _verb(args: list[str]) -> tuple[int, int]:
    """Return where docker's command begins and ends; of `docker container` it is two words."""
    start = len(args) - len(_options(args)[1])
    end = start + (2 if args[start : start + 1] == ["container"] else 1)
    return start, min(end, len(args))


def _options(args: list[str], *, short_flags: str = _SHORT_FLAGS) -> tuple[list[tuple[str, str]], list[str]]:
    """Split arguments into options with their values, and the rest from the first word that is none."""
    options: list[tuple[str, str]] = []
    number = 0
    while number < len(args) and args[number].startswith("-") and args[number] != "-":
        arg = args[number]
        number += 1
        if arg == "--":
            break
        option, equals, value = arg.partition("=")
        if not arg.startswith("--"):
            option, value, complete = _short(arg, short_flags)
        else:
            complete = bool(equals) or option in _FLAGS
        if not complete and number < len(args):
            value = args[number]
            number += 1
        options.append((option, value))
    return options, args[number:]


def _short(arg: str, flags: str) -> tuple[str, str, bool]:
    """Return the last option of some that are joined, its value, and whether that is all of it."""
    for number, letter in enumerate(arg[1:], start=1):
        if letter not in flags:
            rest = arg[number + 1 :].removeprefix("=")
            return f"-{letter}", rest, bool(rest)
    return f"-{arg[-1]}", "", True
