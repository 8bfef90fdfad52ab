"""The commands in orbctl's words: what each asks of the engine and what it prints; it knows no engine."""

from __future__ import annotations

import os
import sys

from vmharness_orbctl import _print as say
from vmharness_orbctl._config import config
from vmharness_orbctl._failure import Failure, absent
from vmharness_orbctl._flags import USAGE, command, parse
from vmharness_orbctl._log import Call
from vmharness_orbctl._receipt import made
from vmharness_orbctl._settings import release

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vmharness_orbctl._types import Engine, Order, Settings

    Options = Mapping[str, str]
    Verb = Callable[[Engine, Options, Sequence[str]], int]

__all__ = ["perform", "run_command"]

# These answer from a stopped OrbStack. That all others start it is a (guess).
_STARTS_NOTHING = ("config", "status", "stop", "version")
_STATUSES = ("Running", "Stopped", "Starting")


def run_command(
    program: str,
    argv: Sequence[str],
    *,
    folder: str,
    settings: Settings,
    open_engine: Callable[[Call], Engine],
) -> int:
    """Do as `orbctl ARGV` or `orb ARGV` would; return the exit status.

    Args:
        program: Under which of its two names it was called.
        argv: Its arguments.
        folder: Where log and settings are.
        settings: The settings.
        open_engine: Opens the engine for the command.
    """
    try:
        verb, args = command(program, argv)
        if not verb:
            say.usage(program)
            return 0
        options, words = parse(verb, args, release(settings))
        if "help" in options:
            say.usage(program, USAGE[verb])
            return 0
    except Failure as failure:
        say.failure(failure)
        return failure.status
    call = Call(folder, verb, _name(verb, options, words), words[0] if verb == "run" and words else "")
    call.log("begin")
    ended = "killed by an exception"
    try:
        ended = str(perform(call, settings, open_engine, options, words))
    finally:
        call.log("end", ended)
    return int(ended)


def perform(
    call: Call,
    settings: Settings,
    open_engine: Callable[[Call], Engine],
    options: Options,
    words: Sequence[str],
) -> int:
    """Do what a command asks of the engine, and print what comes of it; return the exit status."""
    try:
        call.come_to("before")
        engine = open_engine(call)
        engine.begin(call.verb, starts=call.verb not in _STARTS_NOTHING)
        say.banner(settings)
        with made(call.verb):
            status = _VERBS[call.verb](engine, options, words)
    except Failure as failure:
        say.failure(failure)
        status = failure.status
    sys.stdout.flush()
    call.come_to("after")
    return status


def _name(verb: str, options: Options, words: Sequence[str]) -> str:
    """Return the machine that a command is about, for the log."""
    if verb in ("run", "push", "pull"):
        return options.get("machine", "")
    if verb == "create":
        return words[1] if len(words) > 1 else words[0].partition(":")[0]
    if verb == "config":
        return ""
    return words[-1] if verb == "clone" else words[0] if words else ""


def _status(engine: Engine, options: Options, words: Sequence[str]) -> int:
    said = engine.status()
    print(said)
    return _STATUSES.index(said)


def _version(engine: Engine, options: Options, words: Sequence[str]) -> int:
    say.version(engine.settings)
    return 0


def _create(engine: Engine, options: Options, words: Sequence[str]) -> int:
    distro, _, version = words[0].partition(":")
    user_data = options.get("user-data", "")
    if user_data:
        try:
            with open(user_data, encoding="utf-8") as file:
                user_data = file.read()
        except OSError as exc:
            raise Failure(f"open {user_data}: {(exc.strerror or '').lower()}") from exc  # (guess)
    order: Order = {
        "name": words[1] if len(words) > 1 else distro,
        "distro": distro,
        "version": version,
        "arch": options.get("arch", _host_arch()),
        "user": options.get("user", ""),
        "user_data": user_data,
        "cpus": options.get("cpus", ""),
        "memory": options.get("memory", ""),
        "disk": options.get("disk", ""),
        "isolated": "isolated" in options,
    }
    engine.create(order)
    return 0


def _host_arch() -> str:
    return "amd64" if os.uname().machine in ("x86_64", "amd64") else "arm64"


def _list(engine: Engine, options: Options, words: Sequence[str]) -> int:
    found = engine.records()
    if "running" in options:
        found = [details for details in found if details["record"]["state"] == "running"]
    say.listing(found, engine.settings, quiet="quiet" in options, form=options.get("format", "text"))
    return 0


def _info(engine: Engine, options: Options, words: Sequence[str]) -> int:
    say.details(engine.details(words[0]), engine.settings, form=options.get("format", "text"))
    return 0


def _keys(engine: Engine, options: Options, words: Sequence[str]) -> Sequence[str]:
    """Return the machines that a command is about."""
    if "all" in options:
        return [details["record"]["name"] for details in engine.records()]
    return words


def _delete(engine: Engine, options: Options, words: Sequence[str]) -> int:
    keys = _keys(engine, options, words)
    if not keys and "all" not in options:
        raise Failure("Error: requires at least 1 arg(s), only received 0")
    if "force" not in options and keys and not say.agreed(keys):
        return 1
    for key in keys:
        engine.delete(key)
    return 0


def _start(engine: Engine, options: Options, words: Sequence[str]) -> int:
    for key in _keys(engine, options, words):
        engine.start(key)
    return 0


def _stop(engine: Engine, options: Options, words: Sequence[str]) -> int:
    if not words and "all" not in options:
        engine.stop_engine()
    for key in _keys(engine, options, words):
        engine.stop(key)
    return 0


def _restart(engine: Engine, options: Options, words: Sequence[str]) -> int:
    if not words and "all" not in options:
        engine.stop_engine()
        engine.start_engine()
    for key in _keys(engine, options, words):
        engine.stop(key)
        engine.start(key)
    return 0


def _clone(engine: Engine, options: Options, words: Sequence[str]) -> int:
    engine.clone(words[0], words[1])
    return 0


def _rename(engine: Engine, options: Options, words: Sequence[str]) -> int:
    engine.rename(words[0], words[1])
    return 0


def _machine(engine: Engine, options: Options) -> str:
    """Return the machine that `--machine` names, or the default one."""
    key = options.get("machine") or engine.default()
    if not key:
        if engine.records():
            raise absent("default")  # (guess)
        raise Failure(say.NO_MACHINES)
    return key


def _run(engine: Engine, options: Options, words: Sequence[str]) -> int:
    key = _machine(engine, options)
    if "shell" in options and words:
        words = ["/bin/sh", "-c", " ".join(words)]
    sys.stdout.flush()
    argv = words or ["/bin/sh"]
    return engine.run(key, argv, user=options.get("user", ""), workdir=options.get("workdir", ""))


def _push(engine: Engine, options: Options, words: Sequence[str]) -> int:
    engine.push(_machine(engine, options), words[0], words[1] if len(words) > 1 else "")
    return 0


def _pull(engine: Engine, options: Options, words: Sequence[str]) -> int:
    engine.pull(_machine(engine, options), words[0], words[1] if len(words) > 1 else "")
    return 0


def _default(engine: Engine, options: Options, words: Sequence[str]) -> int:
    if words:
        engine.set_default("" if words[0] == "none" else words[0])
    else:
        print(engine.default() or "none")
    return 0


def _config(engine: Engine, options: Options, words: Sequence[str]) -> int:
    for line in config(engine, words):
        print(line)
    return 0


_VERBS: dict[str, Verb] = {
    "clone": _clone,
    "config": _config,
    "create": _create,
    "default": _default,
    "delete": _delete,
    "info": _info,
    "list": _list,
    "pull": _pull,
    "push": _push,
    "rename": _rename,
    "restart": _restart,
    "run": _run,
    "start": _start,
    "status": _status,
    "stop": _stop,
    "version": _version,
}
