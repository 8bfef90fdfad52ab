"""The few programs that a fake machine has; it knows neither machine nor engine."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from vmharness.provider import CommandResult

__all__ = ["run_program"]


def run_program(
    argv: Sequence[str], *, input: bytes, user: str, cwd: str, files: Mapping[str, bytes]
) -> tuple[CommandResult, float]:
    """Do as echo, cat, pwd, whoami, sleep, true, false or a shell's exit would; others are not found.

    Returns:
        What the program did, and how long it takes, in seconds.
    """
    match list(argv):
        case ["sleep", seconds]:
            return _result(), float(seconds)
        case ["echo", *words]:
            result = _result(" ".join(words) + "\n")
        case ["cat"]:
            result = _result(input.decode("utf-8", "replace"))
        case ["cat", path] if path in files:
            result = _result(files[path].decode("utf-8", "replace"))
        case ["cat", path]:
            result = _result(status=1, stderr=f"cat: {path}: No such file or directory\n")
        case ["pwd"]:
            result = _result((cwd or "/root") + "\n")
        case ["whoami"]:
            result = _result((user or "root") + "\n")
        case ["true"]:
            result = _result()
        case ["false"]:
            result = _result(status=1)
        case ["sh", "-c", script] if re.fullmatch(r"exit \d{1,3}", script):
            result = _result(status=int(script.removeprefix("exit ")))
        case words:
            result = _result(status=127, stderr=f"{words[0] if words else ''}: not found\n")
    return result, 0.0


def _result(stdout: str = "", *, status: int = 0, stderr: str = "") -> CommandResult:
    return CommandResult(status=status, stdout=stdout, stderr=stderr)
