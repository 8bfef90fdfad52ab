"""What a user can have wrong around vmharness: settings, signals, other packages, pytest's own configuration.

Each finding says what is wrong, with what, and what to do about it. It knows neither plugins nor ledgers.
"""

from __future__ import annotations

import difflib
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any, Final

from vmharness._model import CommandResult
from vmharness._settings import (
    SETTINGS,
    Settings,
    Source,
    environment,
    nearest_pyproject,
    pyproject,
    read_settings,
)
from vmharness.command import CommandLine
from vmharness.errors import EngineUnavailable, SettingsError

__all__ = [
    "Finding",
    "Level",
    "ask_pytest",
    "check_packages",
    "check_pytest",
    "check_settings",
    "check_signals",
]

# How long pytest may take to say what options it has, in seconds: it loads the suite's own conftest.py.
_PYTEST_S: Final = 60.0
# Variables of ours that are no settings.
_OTHERS: Final = ("STATE_DIR", "SESSION", "SCOPE")
# What ends a run in good order.
_ENDING: Final = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)


class Level(StrEnum):
    """How bad a finding is: an error prevents use."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is wrong.

    Attributes:
        level: How bad it is.
        about: What it is about, in a word or two.
        what: What is wrong.
        remedy: What to do; "" if `what` says it.
    """

    level: Level
    about: str
    what: str
    remedy: str = ""


def check_settings(environ: Mapping[str, str], folder: Path) -> tuple[Settings, Sequence[Finding]]:
    """Return the settings, malformed ones as if they weren't made, and what is wrong with them."""
    findings: list[Finding] = []

    def wrong(error: SettingsError) -> None:
        findings.append(Finding(level=Level.ERROR, about="settings", what=str(error)))

    sources = [environment(environ)]
    try:
        sources.append(pyproject(nearest_pyproject(folder)))
    except SettingsError as exc:
        wrong(exc)
    good: dict[str, Any] = {}
    for setting in SETTINGS:
        if setting.name == "sweep":
            continue  # it goes with its prefixes
        try:
            good[setting.name] = getattr(read_settings(_only(sources, setting.name)), setting.name)
        except SettingsError as exc:
            wrong(exc)
    try:
        good["sweep"] = read_settings(_only(sources, "sweep", "sweep_prefix")).sweep
    except SettingsError as exc:
        if "sweep_prefix" in good:  # else it was said
            wrong(exc)
    findings += _misspelt(environ)
    try:
        return Settings(**good), findings
    except SettingsError:  # prefixes that are malformed are missing here
        del good["sweep"]
        return Settings(**good), findings


def _only(sources: Sequence[Source], *names: str) -> Sequence[Source]:
    """Return the sources with no other settings than these."""

    def narrowed(source: Source) -> Source:
        return Source(source.label, lambda name: source.get(name) if name in names else None)

    return [narrowed(source) for source in sources]


def _misspelt(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Yield variables that are close to a setting's; others may be a backend's own."""
    known = [f"VMHARNESS_{setting.name.upper()}" for setting in SETTINGS]
    known += [f"VMHARNESS_{name}" for name in _OTHERS]
    for name in sorted(environ):
        if name in known or not name.upper().startswith(("VMHARNESS_", "VM_HARNESS_")):
            continue
        close = difflib.get_close_matches(name.upper().replace("VM_HARNESS", "VMHARNESS"), known, 1, 0.9)
        if close:
            yield Finding(
                level=Level.WARNING,
                about="settings",
                what=f"the variable {name} is no setting, and is not looked at",
                remedy=f"if {close[0]} is meant, rename it",
            )


def check_signals(handler: Callable[[int], object] = signal.getsignal) -> Iterator[Finding]:
    """Yield what this process, and so what is started like it, ignores."""
    heard = [number.name for number in _ENDING if handler(number) is not signal.SIG_IGN]
    ignored = [number.name for number in _ENDING if number.name not in heard]
    if ignored:
        yield Finding(
            level=Level.WARNING,
            about="signals",
            what=f"runs that are started from here ignore {' and '.join(ignored)}, as those do that nohup or "
            "a script's & starts",
            remedy=f"to end one in good order, send it {' or '.join(heard)}"
            if heard
            else "don't ignore them where runs are started; what a killed one leaves, its reaper deletes",
        )


def check_packages(
    required: Sequence[str] | None = None, installed: Callable[[str], str] = version
) -> Iterator[Finding]:
    """Yield what vmharness needs and isn't installed, or is too old.

    Args:
        required: Requirements in pip's form; None = those of vmharness.
        installed: Returns the version of a distribution.
    """
    from packaging.requirements import Requirement

    if required is None:
        try:
            required = requires("vmharness") or []
        except PackageNotFoundError:
            required = []  # run from a checkout
    for text in required:
        needed = Requirement(text)
        if needed.marker is not None and not needed.marker.evaluate({"extra": ""}):
            continue
        try:
            there = installed(needed.name)
        except PackageNotFoundError:
            there = ""
        if there and needed.specifier.contains(there, prereleases=True):
            continue
        yield Finding(
            level=Level.ERROR,
            about="packages",
            what=f"vmharness needs {needed.name}{needed.specifier}, and "
            + (f"{there} is installed" if there else "it isn't installed"),
            remedy=f"pip install '{needed.name}{needed.specifier}'",
        )


def ask_pytest() -> CommandResult:
    """Let pytest say its options in the current folder, which nothing but it can know.

    Raises:
        EngineUnavailable: It can't be started.
        TimeoutError: It said nothing for long.
    """
    python = CommandLine(sys.executable, backend="", environ={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    return python.run(["-m", "pytest", "-p", "no:cacheprovider", "--help"], timeout=_PYTEST_S)


def check_pytest(
    environ: Mapping[str, str], ask: Callable[[], CommandResult] = ask_pytest
) -> Iterator[Finding]:
    """Yield why the pytest that is run here doesn't know vmharness, if it doesn't."""
    try:
        said = ask()
    except (EngineUnavailable, TimeoutError) as exc:
        yield Finding(level=Level.ERROR, about="pytest", what=f"pytest doesn't run here: {exc}")
        return
    if "--vm-backend" in said.stdout:
        return
    if said.status != 0:
        last = (said.stderr.strip() or said.stdout.strip() or "it says nothing").splitlines()[-1]
        yield Finding(
            level=Level.ERROR,
            about="pytest",
            what=f"pytest doesn't run here: {last}",
            remedy="run `python -m pytest --help` to see all that it says",
        )
        return
    where, remedy = "", "take `-p no:vmharness` out of addopts in pytest's configuration"
    if re.search(r"no:vmharness\b", environ.get("PYTEST_ADDOPTS", "")):
        where, remedy = " by PYTEST_ADDOPTS", "take `-p no:vmharness` out of it"
    elif environ.get("PYTEST_DISABLE_PLUGIN_AUTOLOAD"):
        where = " by PYTEST_DISABLE_PLUGIN_AUTOLOAD"
        remedy = "unset it, or add `-p vmharness.pytest_plugin` to addopts"
    yield Finding(
        level=Level.ERROR,
        about="pytest",
        what=f"vmharness's plugin is switched off{where}: its fixtures and options aren't there",
        remedy=remedy,
    )
