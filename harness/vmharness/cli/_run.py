"""`vmharness run -- COMMAND`: any runner of tests, with all that a pytest run has of vmharness."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Final

import typer

from vmharness.cli._common import BackendOption, say, settings
from vmharness.errors import CleanupFailed, SettingsError

__all__ = ["run"]

# What is sent to us is meant for the command; an interrupt comes from the terminal, to both of us.
_FORWARDED: Final = (signal.SIGTERM, signal.SIGHUP)
# As shells say it of a command that isn't there, and of one that can't be run.
_NOT_FOUND: Final = 127
_NOT_RUN: Final = 126

_Command = Annotated[
    list[str], typer.Argument(metavar="COMMAND...", help="Command, and its arguments.", show_default=False)
]


# The command for which there is a stand-in.
_REPLACED: Final = "orbctl"
_StandIn = Annotated[
    str,
    typer.Option(
        f"--{_REPLACED}",
        metavar="ENGINE",
        show_default=False,
        help=f"Put {_REPLACED} of vmharness's own first on PATH, over this engine: simulator, or a backend.",
    ),
]


def run(command: _Command, *, backend: BackendOption = "", stand_in: _StandIn = "") -> None:
    """Run a command, and delete the machines that it makes by the engines' own commands.

    Any command: unittest, make, bats, a script; a pytest run in it deletes them test by test. Machines of
    dead runs are swept at its start. At its end, and if it is killed, all that was recorded is deleted. The
    exit status is the command's own.
    """
    from vmharness._opening import open_session
    from vmharness._settings import RecordMode
    from vmharness._summary import lines, part_of

    if stand_in:
        backend = _put_in_place(_REPLACED, stand_in, backend)
    chosen = settings()
    if not chosen.record.takes_commands:
        chosen = replace(chosen, record=RecordMode.COMMANDS)
    # A pytest run in the command, which has the plugin too, shall not be without it.
    variables = {"VMHARNESS_RECORD": chosen.record.value}
    if backend:
        variables["VMHARNESS_BACKEND"] = backend
    status, session = 0, None
    try:
        with (
            open_session(backend=backend, settings=chosen) as session,
            _told({**variables, "VMHARNESS_SESSION": session.id}),
        ):
            status = watch(command)
    except CleanupFailed:
        pass  # the summary says what is left
    finally:
        if session is not None:
            for line in lines([part_of(session)]):
                say(f"vmharness: {line}", stderr=True)
    _leave(status)


def watch(command: Sequence[str], *, popen: Callable[..., subprocess.Popen[bytes]] = subprocess.Popen) -> int:
    """Run a command in our terminal and process group, and return how it ended; a signal is negative."""
    previous: dict[int, Any] = {}
    process: subprocess.Popen[bytes] | None = None
    early: list[int] = []

    def forward(number: int, frame: FrameType | None) -> None:
        del frame
        if process is None:
            early.append(number)
        elif number in _FORWARDED:
            process.send_signal(number)

    try:
        # Before it is started, for an interrupt just after that would leave it to nobody.
        for number in (signal.SIGINT.value, *_FORWARDED):
            if signal.getsignal(number) != signal.SIG_IGN:
                previous[number] = signal.signal(number, forward)
        process = popen(list(command))
        for number in early:
            process.send_signal(number)
        return process.wait()
    except OSError as exc:
        say(f"vmharness: cannot run {command[0]!r}: {exc.strerror}", style="red", stderr=True)
        return _NOT_FOUND if isinstance(exc, FileNotFoundError) else _NOT_RUN
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        if process is None:
            for number in early:
                signal.raise_signal(number)


def _put_in_place(command: str, engine: str, backend: str) -> str:
    """Put a command in the place of an engine's own, first on PATH; return the backend that drives it."""
    from vmharness._ledger import FileLedgers
    from vmharness._places import make_private
    from vmharness._plugins import load_stand_in

    # It stays: what is left on a simulated engine is found by the next run, as on a real one.
    ledgers = FileLedgers.usual()
    folder = ledgers.folder / f"{command}-{engine}"
    stand_in = load_stand_in(command)
    if Path(engine).name != engine:
        raise SettingsError(f"cannot put {engine!r} behind {command}: that is no engine's name")
    make_private(ledgers.state)
    make_private(ledgers.folder)
    drives = stand_in(engine, folder)
    if backend not in ("", drives):
        raise SettingsError(f"cannot use backend {backend!r} with --{command}: it is driven by {drives!r}")
    os.environ["PATH"] = os.pathsep.join([str(folder), os.environ.get("PATH", os.defpath)])
    return drives


@contextmanager
def _told(variables: Mapping[str, str]) -> Generator[None]:
    """Tell the commands that are called in a block, by variables of the environment."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _leave(status: int) -> None:
    """End as the command did: with its status, or by the signal that ended it."""
    if status >= 0:
        raise typer.Exit(status)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # if there is to be a core, it was written
    if -status not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)
    raise typer.Exit(128 - status)
