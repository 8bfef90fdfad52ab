"""orbctl's arguments: which command is meant, its flags, and how Go's pflag reads them. It runs nothing."""

from __future__ import annotations

from vmharness_orbctl._failure import Failure

TYPE_CHECKING = False  # typing itself would cost much of the time that this takes to start
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["USAGE", "command", "parse"]

# What each command takes: `f:force` a flag without a value, `a:arch=` one with a value.
_FLAGS = {
    "clone": "",
    "config": "",
    "create": "a:arch= u:user= p:set-password c:user-data= cpus= memory= disk= isolated isolate-network "
    "mount= forward-ssh-agent",
    "default": "",
    "delete": "f:force a:all",
    "info": "f:format=",
    "list": "f:format= q:quiet r:running",
    "pull": "m:machine=",
    "push": "m:machine=",
    "rename": "",
    "restart": "a:all",
    "run": "m:machine= u:user= w:workdir= s:shell p:path",
    "start": "a:all",
    "status": "",
    "stop": "a:all f:force",
    "version": "",
}
# The flags that came with a release.
_SINCE = {"cpus": (2, 1), "memory": (2, 1), "disk": (2, 1), "isolated": (2, 1), "isolate-network": (2, 1)}
_ALIASES = {"add": "create", "new": "create", "exec": "run", "shell": "run", "ls": "list", "rm": "delete"}
# How many words each takes besides its flags; None = any number.
_WORDS: dict[str, tuple[int, int | None]] = {
    "clone": (2, 2),
    "config": (1, None),
    "create": (1, 2),
    "default": (0, 1),
    "delete": (0, None),
    "info": (1, 1),
    "list": (0, 0),
    "pull": (1, 2),
    "push": (1, 2),
    "rename": (2, 2),
    "restart": (0, None),
    "run": (0, None),
    "start": (0, None),
    "status": (0, 0),
    "stop": (0, None),
    "version": (0, 0),
}
USAGE = {
    "clone": "clone SOURCE NEW_NAME",
    "config": "config get KEY | set KEY VALUE | show | reset",
    "create": "create [flags] DISTRO[:VERSION] [NAME]",
    "default": "default [ID/NAME | none]",
    "delete": "delete [flags] [ID/NAME]...",
    "info": "info [flags] [ID/NAME]",
    "list": "list [flags]",
    "pull": "pull [flags] SOURCE [DEST]",
    "push": "push [flags] SOURCE [DEST]",
    "rename": "rename OLD NEW",
    "restart": "restart [flags] [ID/NAME]...",
    "run": "run [flags] COMMAND [ARGS]...",
    "start": "start [flags] [ID/NAME]...",
    "status": "status",
    "stop": "stop [flags] [ID/NAME]...",
    "version": "version",
}
# Commands of OrbStack that have no meaning here.
_ELSEWHERE = (
    *("completion", "debug", "docker", "doctor", "export", "import", "login", "logout", "logs"),
    *("report", "reset", "serial", "ssh", "update", "usb"),
)


def command(program: str, argv: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Return which command is meant, and its arguments; "" for help.

    `orb` runs what is no command in the default machine. `orbctl` calls it unknown.
    """
    word = argv[0] if argv else ""
    if word in ("-h", "--help", "help") or (not word and program != "orb"):
        return "", argv[1:]
    verb = _ALIASES.get(word, word)
    if verb in _FLAGS:
        return verb, argv[1:]
    if word in _ELSEWHERE:
        raise Failure(f"Error: 'orbctl {word}' is not there: this orbctl is vmharness's, not OrbStack's own")
    if program == "orb":
        return "run", argv
    raise Failure(f'Error: unknown command "{word}" for "orbctl"')


def parse(verb: str, args: Sequence[str], release: tuple[int, ...]) -> tuple[dict[str, str], list[str]]:
    """Split flags from words; for `run`, the first word ends the flags.

    Raises:
        Failure: One is unknown, lacks its value, or there are too few or too many words.
    """
    longs, shorts = _table(verb, release)
    options: dict[str, str] = {}
    left, words = list(args), list[str]()
    while left:
        word = left.pop(0)
        if word == "--" and verb != "run":
            words += left
            break
        if word == "-" or not word.startswith("-"):
            words.append(word)
            if verb == "run":
                words += left
                break
        elif word.startswith("--"):
            _read_long(word, left, longs, options)
        else:
            _read_shorts(word, left, longs, shorts, options)
    if "help" not in options:
        _count(verb, words)
    return options, words


def _table(verb: str, release: tuple[int, ...]) -> tuple[dict[str, bool], dict[str, str]]:
    """Return whether each flag takes a value, and the flag of each letter."""
    flags = [flag.rpartition(":") for flag in f"{_FLAGS[verb]} h:help".split()]
    longs = {name.rstrip("="): name.endswith("=") for _, _, name in flags}
    longs = {name: takes for name, takes in longs.items() if release >= _SINCE.get(name, ())}
    return longs, {letter: name.rstrip("=") for letter, _, name in flags if letter}


def _read_long(word: str, left: list[str], longs: dict[str, bool], options: dict[str, str]) -> None:
    name, equals, value = word[2:].partition("=")
    if name not in longs:
        raise Failure(f"Error: unknown flag: --{name}")
    if longs[name] and not equals:
        if not left:
            raise Failure(f"Error: flag needs an argument: --{name}")
        value = left.pop(0)
    if longs[name] or value != "false":
        options[name] = value


def _read_shorts(
    word: str, left: list[str], longs: dict[str, bool], shorts: dict[str, str], options: dict[str, str]
) -> None:
    for at, letter in enumerate(word[1:], 2):
        name = shorts.get(letter)
        if name is None:
            raise Failure(f"Error: unknown shorthand flag: '{letter}' in {word}")
        if longs[name]:
            rest = word[at:].removeprefix("=")
            if not rest and not left:
                raise Failure(f"Error: flag needs an argument: '{letter}' in {word}")
            options[name] = rest or left.pop(0)
            return
        options[name] = ""


def _count(verb: str, words: Sequence[str]) -> None:
    least, most = _WORDS[verb]
    got = len(words)
    if least <= got and (most is None or got <= most):
        return
    if most is None:
        raise Failure(f"Error: requires at least {least} arg(s), only received {got}")
    if least == most and least:
        raise Failure(f"Error: accepts {least} arg(s), received {got}")
    if got > most and not most:
        raise Failure(f'Error: unknown command "{words[0]}" for "orbctl {verb}"')
    raise Failure(f"Error: accepts between {least} and {most} arg(s), received {got}")
