"""What the commands share: options, settings, consoles and words; it knows no command."""

from __future__ import annotations

import json
import os
import sys
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from vmharness.errors import CleanupFailed, VMHarnessError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from vmharness._settings import Settings

__all__ = [
    "BackendOption",
    "JsonOption",
    "age",
    "complain",
    "console",
    "count",
    "print_json",
    "renew_consoles",
    "say",
    "settings",
    "table",
]

BackendOption = Annotated[
    str,
    typer.Option(
        "--backend",
        metavar="NAME",
        show_default=False,
        help="Backend to use (default: the configured one, or the first whose engine answers).",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", metavar="", help="Print JSON, for programs.")]

# Piped output has no width of its own: wide enough that no row is ever broken.
_PIPED_WIDTH: Final = 240


def settings() -> Settings:
    """Return the settings of the environment and of the nearest pyproject.toml.

    Raises:
        SettingsError: One is malformed.
    """
    from vmharness._settings import environment, nearest_pyproject, pyproject, read_settings

    return read_settings([environment(os.environ), pyproject(nearest_pyproject(Path.cwd()))])


@cache
def console(*, stderr: bool = False) -> Console:
    """Return the console of standard output or standard error."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    piped = not stream.isatty() and "COLUMNS" not in os.environ
    return Console(stderr=stderr, width=_PIPED_WIDTH if piped else None, highlight=False)


def renew_consoles() -> None:
    """Let what is printed from here on be seen, though a signal may have ended a print halfway.

    A console of rich that was left halfway can keep what it is given, for ever.
    """
    console.cache_clear()


def say(text: str = "", *, style: str = "", stderr: bool = False) -> None:
    """Print text as it is: names and paths are never taken for markup, nor broken at the edge."""
    console(stderr=stderr).print(text, style=style or None, markup=False, soft_wrap=True)


def complain(error: VMHarnessError) -> None:
    """Print an error on standard error as one message."""
    from vmharness._session import describe

    text = describe(error) if isinstance(error, CleanupFailed) else str(error)
    say(f"vmharness: {text}", style="red", stderr=True)


def print_json(value: Any) -> None:
    """Print a value as JSON on standard output."""
    typer.echo(json.dumps(value, indent=2))


def table(*columns: str) -> Table:
    """Make a table without lines. The first column is never cut: it names a machine or a backend."""
    from rich.table import Table

    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for number, column in enumerate(columns):
        made.add_column(column, no_wrap=number == 0, overflow="fold")
    return made


def age(created_at: float | None) -> str:
    """Say how long ago a time was, in one unit; "?" if it isn't known."""
    if created_at is None:
        return "?"
    seconds = max(0.0, time.time() - created_at)
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.0f}s"


def count(number: int, noun: str = "machine") -> str:
    """Return a number and its noun, as "1 machine" or "3 machines"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
