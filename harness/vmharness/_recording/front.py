"""A front-end of an engine's command: it records what the command will make, then becomes the command.

Run as a script, with the path of the front-ends' configuration, the program's name and its arguments. It
knows no engine and nothing of vmharness: a reader, a module of the backend's, understands the arguments.

A test's process or any of its children calls it, and may be killed at any moment. So the intent is on the
disk before the command runs, and nothing of us is left then whose death could change anything.
"""

# No typing: each import is time that every call of the command pays for.
from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
import time
import zlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

# How long the engine may take to say what is there, in seconds.
_LOOK_S = 30.0
# Of these a name is made that we make up, as the framework's own are.
_ALPHABET = b"abcdefghijklmnopqrstuvwxyz234567"


class Refused(Exception):
    """What is asked for can't be recorded, so it isn't done."""


def main(config_path: str, program: str, args: list[str]) -> None:
    """Record, then become the command.

    Args:
        config_path: Path of the configuration; beside it are the launchers.
        program: Name of the command.
        args: Its arguments.
    """
    try:
        with open(config_path, encoding="utf-8") as file:
            config = json.load(file)
        front = config["programs"][program]
    except (OSError, ValueError, KeyError) as exc:
        _refuse(program, f"its session has ended ({exc})")
    reader = load(front["reader"])
    try:
        text, args = prepare(config, front, reader, program, args)
    except (Refused, OSError) as exc:
        _refuse(program, str(exc))
    if text:
        os.write(1, text.encode())
    _become(front["path"], program, args)


def prepare(
    config: Any, front: Any, reader: Any, program: str, args: list[str], environ: Any = os.environ
) -> tuple[str, list[str]]:
    """Record what a call will make.

    Args:
        config: Of the front-ends.
        front: What it says of the program.
        reader: Understands the arguments.
        program: The program's name.
        args: Its arguments. They can be changed, unless `front` has the key `fixed`.
        environ: What the command will have as its environment.

    Returns:
        What to print first, and the arguments to go on with.

    Raises:
        Refused: It can't be recorded.
        OSError: Likewise.
    """
    name = reader.recognise_create(args)
    if name is None:
        _note_those_that_go(config, front, reader, args, environ)
        return "", args
    fixed = "fixed" in front
    why = _changed(front["environ"], environ) or reader.elsewhere(args, front["endpoint"])
    if not why and not name and fixed:
        why = "it names no machine, and is called by its path"
    if why:
        call = " ".join([program, *args[:1], name]).strip()
        _append(config, {"note": f"not recorded: {call}: {why}"}, needed=False)
        return "", args
    text = ""
    follows = False
    labels = front["labels"] and not fixed
    if name and not labels:
        if reader.seen(_look(front, reader), [name]):
            return "", args  # somebody's already: the engine will refuse, and nothing is ours
        follows = hasattr(reader, "follows") and reader.follows(args)
    if follows:
        _note_those_that_go(config, front, reader, args, environ)
    if not name:
        name = _made_up(config["prefix"])
        args, text = reader.with_name(args, name)
    now = time.time()
    id = os.urandom(8).hex()
    record = {
        "id": id,
        "name": name,
        "backend": front["backend"],
        "endpoint": front["endpoint"],
        "token": os.urandom(16).hex() if labels else "",
        "deadline": now + front["patience_s"],
        "scope": os.environ.get(config["scope_variable"], ""),
        "state": "wanted",
        # A machine that is renamed was made before: it is ours only if that was since the session began.
        "wanted_at": config["began_at"] if follows else now,
        "tracked": follows,
        "at": now,
    }
    if not fixed:
        args, told = _with_receipt(config, reader, args, id)
        _lock_call(config["call"].replace("%s", id), f"{int(told)} {front['settle_s']}\n")
    _append(config, record, needed=True)
    if labels:
        args = reader.with_labels(args, _labels(config["labels"], front["label_length"], record))
    return text, args


def _with_receipt(config: Any, reader: Any, args: list[str], id: str) -> tuple[list[str], bool]:
    """Have the command tell what it made, if it can; return its arguments, and whether it may."""
    with_receipt = getattr(reader, "with_receipt", None)
    if with_receipt is None:
        return args, False
    args, told = with_receipt(args, config["receipt"].replace("%s", id))
    return args, told


def _lock_call(path: str, text: str) -> None:
    """Take a lock that goes with the command's process, so that one can see whether that has ended.

    Args:
        path: Of the file to lock.
        text: What it says: whether the command tells what it made, and for how long after its end the engine
            may go on with what it asked for, in seconds.
    """
    call = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    fcntl.flock(call, fcntl.LOCK_EX)
    os.write(call, text.encode())
    os.set_inheritable(call, True)  # noqa: FBT003


def _note_those_that_go(config: Any, front: Any, reader: Any, args: list[str], environ: Any) -> None:
    """Say of machines which the command may delete that they were there: they surely were made."""
    words = reader.recognise_delete(args)
    if not words or _changed(front["environ"], environ):
        return
    try:
        there = reader.seen(_look(front, reader), words)
    except Refused:
        return  # nothing is known, as before
    if there:
        _append(config, {"seen": list(there), "endpoint": front["endpoint"]}, needed=False)


def _labels(keys: Any, longest: int, record: Any) -> dict[str, str]:
    """Return the labels of a record; `keys` says what each is called, and which are the same for all."""
    own = {
        "token": record["token"],
        "expires": str(int(record["wanted_at"] + keys["expiry_s"])),
        "test": record["scope"][-longest:],
        "name": record["name"],
    }
    labels = {keys["keys"][key]: value for key, value in own.items()}
    labels.update(keys["same"])
    return {key: value for key, value in labels.items() if value}


def _changed(variables: dict[str, str | None], environ: Any) -> str:
    """Say which of the variables that choose the engine isn't what it was; "" = none."""
    for name, value in variables.items():
        if environ.get(name) != value:
            return f"{name} means another engine than its session's"
    return ""


def _look(front: Any, reader: Any) -> str:
    """Return the engine's own listing."""
    import subprocess

    try:
        done = subprocess.run(
            [front["path"], *reader.look_args()],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_LOOK_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise Refused(f"the engine doesn't say what is there: {exc}") from exc
    if done.returncode:
        raise Refused(f"the engine doesn't say what is there: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout.decode(errors="replace")


def _append(config: Any, line: object, *, needed: bool) -> None:
    """Write a line to the inbox, on the disk when this returns.

    Args:
        config: Of the front-ends.
        line: The line.
        needed: Whether what it says must not happen without it.
    """
    try:
        descriptor = os.open(config["inbox"], os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        if needed:
            raise Refused("its session has ended") from None
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        # With our lock nobody unlinks the inbox, and whoever takes the ledger over reads it later.
        if not os.fstat(descriptor).st_nlink or not _is_held(config["ledger"]):
            raise Refused("its session has ended")
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":  # cut off: nothing was done on its strength
            size = os.pread(descriptor, size, 0).rfind(b"\n") + 1
            os.ftruncate(descriptor, size)
        try:
            rest = json.dumps(line).encode() + b"\n"
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, size)
            raise
    except (Refused, OSError):
        if needed:
            raise
    finally:
        os.close(descriptor)


def _is_held(ledger: str) -> bool:
    """Whether the session lives: its ledger is there, and somebody holds its lock."""
    try:
        descriptor = os.open(ledger, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def _made_up(prefix: str) -> str:
    """Make a name as `vmharness._naming` does, which would take long to load."""
    name = prefix.strip("-") + "-" + bytes(_ALPHABET[byte % 32] for byte in os.urandom(8)).decode()
    sum = zlib.crc32(name.encode())
    return name + bytes([_ALPHABET[sum % 32], _ALPHABET[sum // 32 % 32]]).decode()


def load(path: str) -> Any:
    """Load a reader from its file, with Python's own cache of what it compiled."""
    from importlib.machinery import SourceFileLoader

    module = type(sys)("reader")
    SourceFileLoader("reader", path).exec_module(module)
    return module


def _become(path: str, program: str, args: list[str]) -> NoReturn:
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, which the command would inherit
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execv(path, [program, *args])  # noqa: S606
    except OSError as exc:
        sys.stderr.write(f"vmharness: cannot run {path}: {exc.strerror}\n")
        sys.exit(126)


def _refuse(program: str, why: str) -> NoReturn:
    sys.stderr.write(f"vmharness: nothing was asked of {program}, for it can't be recorded: {why}\n")
    sys.exit(1)


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[2], sys.argv[3:])
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
