"""Running an engine's command line: a deadline, a process group of its own, and errors in our words.

For backends that drive a command. The one place where such a process is started; it knows no engine.
"""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from vmharness._fronts import without_fronts
from vmharness._interrupts import held
from vmharness._model import CommandResult
from vmharness._starts import own_start
from vmharness.errors import EngineUnavailable

__all__ = ["CommandLine", "describe_failure"]

_log = logging.getLogger("vmharness.command")

# How long the pipes of a killed group may take to close before they are given up, in seconds.
_DRAIN_S: Final = 2.0


class CommandLine:
    """One engine's command, found on PATH when it is used.

    What it writes is decoded as UTF-8, whatever the locale; each byte that is none becomes U+FFFD. So bytes
    that matter must come in letters, as base64 gives them.

    Args:
        program: Name on PATH, or a path.
        backend: Name of the backend, for errors.
        hint: What to do when the program isn't there.
        environ: The process's whole environment; None = ours at the time of the call.
        popen: Starts a process, as `subprocess.Popen` does; tests pass their own.
    """

    def __init__(
        self,
        program: str,
        *,
        backend: str,
        hint: str = "",
        environ: Mapping[str, str] | None = None,
        popen: Callable[..., subprocess.Popen[bytes]] = subprocess.Popen,
    ) -> None:
        self.program: Final = program
        self.backend: Final = backend
        self._hint = hint
        self._environ = environ
        self._popen = popen

    def found(self) -> str | None:
        """Return the path of the program, or None if it isn't there; a session's front-end of it isn't it."""
        environ = os.environ if self._environ is None else self._environ
        return shutil.which(self.program, path=without_fronts(environ.get("PATH", os.defpath)))

    def run(self, args: Sequence[str], *, timeout: float, input: bytes | None = None) -> CommandResult:
        """Run the command without a shell and wait for its end. May be called from threads.

        Whatever ends the wait but the command's own end, KeyboardInterrupt included, the command's
        process group is killed before this returns: what the engine was asked may still happen.

        Args:
            args: The command's arguments.
            timeout: Seconds until the deadline.
            input: Bytes for its standard input; None = empty.

        Returns:
            Exit status (negative: the signal that ended it) and what it wrote.

        Raises:
            EngineUnavailable: The program isn't there or can't be started; the engine was asked nothing.
            TimeoutError: The deadline passed.
        """
        path = self.found()
        if path is None:
            raise EngineUnavailable(self._missing("not found on PATH"), backend=self.backend)
        argv = [path, *args]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = None
        try:
            # An interrupt while it is started would leave it to nobody.
            with held, own_start():
                process = self._popen(
                    argv,
                    stdin=subprocess.DEVNULL if input is None else subprocess.PIPE,
                    env=None if self._environ is None else dict(self._environ),
                    start_new_session=True,
                    **pipes,
                )
            out, err = process.communicate(input, timeout=timeout)
        except subprocess.TimeoutExpired as exc:
            _end_group(process)
            raise TimeoutError(f"{shlex.join([self.program, *args])}: no end after {timeout:g} s") from exc
        except BaseException as exc:
            if process is None and isinstance(exc, OSError):
                raise EngineUnavailable(self._missing(str(exc)), backend=self.backend) from exc
            # KeyboardInterrupt comes after a wait in which the leader may have ended; its group may not.
            _end_group(process)
            raise
        result = CommandResult(
            status=process.wait(),
            stdout=out.decode("utf-8", "replace"),
            stderr=err.decode("utf-8", "replace"),
        )
        _log.debug("%s: exit %d", shlex.join([self.program, *args]), result.status)
        return result

    def _missing(self, why: str) -> str:
        return f"cannot run {self.program!r}: {why}" + (f"; {self._hint}" if self._hint else "")


def _end_group(process: subprocess.Popen[bytes] | None) -> None:
    """Kill the process's group, then reap its leader: until then the group's number can't be reused."""
    if process is None:
        return
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    except PermissionError:  # macOS, if a member of the group is dead already
        process.kill()
    try:
        process.communicate(timeout=_DRAIN_S)
    except (subprocess.TimeoutExpired, ValueError):
        pass  # a descendant that left the group holds the pipes; the leader is dead all the same
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            try:
                pipe.close()
            except BrokenPipeError:
                pass  # input that the command didn't read


def describe_failure(program: str, args: Sequence[str], result: CommandResult) -> str:
    """Say in one line which command failed, how, and what it wrote last to stderr."""
    said = (result.stderr.strip() or result.stdout.strip() or "nothing").splitlines()
    return f"{shlex.join([program, *args])} ended with {result.status} and said: {said[-1].strip()}"
