"""Doing what a page of the documentation says: files written, commands run, output compared."""

from __future__ import annotations

import doctest
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Template
from typing import Final

__all__ = ["ROOT", "follow", "run", "user_environ"]

ROOT: Final = Path(__file__).parents[2]
BLOCK: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND: Final = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
LIKE: Final = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def user_environ(folder: Path) -> dict[str, str]:
    """Return the environment of somebody who has just installed vmharness; its files are in the folder."""
    ours = ("VMHARNESS_", "PYTEST_", "COV_")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    path = os.pathsep.join([str(Path(sys.executable).parent), environ["PATH"]])
    state, cache = str(folder / "state"), str(folder / "cache")
    return {**environ, "PATH": path, "COLUMNS": "100", "XDG_CACHE_HOME": cache, "VMHARNESS_STATE_DIR": state}


def run(command: str, folder: Path, environ: Mapping[str, str], *, timeout: float = 120) -> str:
    """Run a command's words, without a shell, and return what it wrote.

    Args:
        command: As it is typed.
        folder: Where.
        environ: All variables.
        timeout: Seconds until the deadline.
    """
    words = shlex.split(command)
    program = shutil.which(words[0], path=environ["PATH"])
    assert program, f"{words[0]} is not on PATH"
    done = subprocess.run(
        [program, *words[1:]],
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=timeout,
        check=False,
    )
    return done.stdout


def follow(page: Path, folder: Path, environ: Mapping[str, str], *, timeout: float = 120) -> Iterator[str]:
    """Do what a page says, and yield what came out otherwise.

    A block whose first line is a comment with a file's name is that file. A block of type `console` holds
    commands and what they print, as in a doctest: `...` stands for anything.

    Args:
        page: The page.
        folder: Where it is done.
        environ: All variables.
        timeout: Seconds until the deadline of each command.
    """
    environ = dict(environ)
    for language, text in BLOCK.findall(page.read_text()):
        name = re.match(r"# (\S+\.\w+)\n", text)
        if name:
            (folder / name[1]).write_text(text)
        if language != "console":
            continue
        for typed, want in COMMAND.findall(text):
            command = Template(typed).substitute(environ, PWD=str(folder))
            if command.startswith("export "):
                variable, _, value = command.removeprefix("export ").partition("=")
                environ[variable] = value
                continue
            got = run(command, folder, environ, timeout=timeout)
            if not doctest.OutputChecker().check_output(want, got, LIKE):
                yield f"$ {command}\n--- expected\n{want}--- got\n{got}"
