"""Calls of engines' commands that go past the front-ends: by a path, or with another PATH.

Python tells an audit hook of each process that this one starts. The hook can't be taken away again, so
there is one a process, and it is cheap: it looks at an event's name, and at a program's, before all else.
It sees what front-ends see, but can't change a call: no label is added, and no name.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from vmharness._fronts import CONFIG
from vmharness._recording import front
from vmharness._starts import is_own_start, own_start
from vmharness.errors import LedgerError

__all__ = ["Watch"]

# Of each event that starts a program: where its arguments, its folder (0 = ours) and its environment are.
_STARTS: Final = {"subprocess.Popen": (1, 2, 3), "os.exec": (1, 0, 2), "os.posix_spawn": (1, 0, 2)}

_watches: list[Watch] = []
_installing: Final = threading.Lock()
_installed: list[int] = []


def _hook(event: str, args: tuple[Any, ...], starts: Mapping[str, object] = _STARTS) -> None:
    if event in starts and _watches and not is_own_start():
        for watch in tuple(_watches):
            watch.note(event, args)


class Watch:
    """Records for a session what its process calls past the front-ends.

    Args:
        config: The front-ends' configuration.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config
        # subprocess may start a program by posix_spawn, and then there are two events of one call.
        self._last = threading.local()

    def begin(self) -> None:
        """Watch from now on."""
        with _installing:
            if not _installed:
                sys.addaudithook(_hook)
                _installed.append(os.getpid())
            _watches.append(self)

    def end(self) -> None:
        """Watch no more; may be repeated."""
        if self in _watches:
            _watches.remove(self)

    def note(self, event: str, args: Sequence[Any]) -> None:
        """Record what a call will make, if it is one of an engine's command.

        Raises:
            LedgerError: It can't be recorded; the program isn't started.
        """
        argv, folder, environ = _STARTS[event]
        program = os.path.basename(os.fsdecode(args[0]))  # noqa: PTH119 - on each start of any program
        settings = self._config["programs"].get(program)
        if settings is None:
            return
        words = [os.fsdecode(word) for word in args[argv]]
        again, self._last.words = getattr(self._last, "words", None), None
        if event == "subprocess.Popen":
            self._last.words = words
        elif event == "os.posix_spawn" and again == words:
            return
        given = os.environ if args[environ] is None else args[environ]
        variables = {os.fsdecode(key): os.fsdecode(value) for key, value in given.items()}
        path = _find(os.fsdecode(args[0]), os.fsdecode((folder and args[folder]) or ""), variables)
        if path is not None and not Path(path).with_name(CONFIG).is_file():
            self._record(program, {**settings, "path": path, "fixed": True}, words[1:], variables)

    def _record(
        self, program: str, settings: Mapping[str, Any], args: list[str], environ: Mapping[str, str]
    ) -> None:
        with own_start():
            try:
                reader = front.load(settings["reader"])
                front.prepare(self._config, settings, reader, program, args, environ)
            except (front.Refused, OSError) as exc:
                raise LedgerError(
                    f"nothing was asked of {settings['path']}, for it can't be recorded: {exc}"
                ) from exc


def _find(path: str, folder: str, environ: Mapping[str, str]) -> str | None:
    """Return the file that is started by a name or a path; None if there is none."""
    if os.sep in path:
        return os.path.join(folder, path)  # noqa: PTH118 - a relative one stays one, as the engine is called
    return shutil.which(path, path=environ.get("PATH", os.defpath))
