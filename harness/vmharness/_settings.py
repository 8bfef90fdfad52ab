"""Every setting, typed, from wherever it was made; it knows neither pytest nor the command's parser.

The table `SETTINGS` is the one list: options, ini keys, variables, keys of pyproject.toml and the
reference are all made from it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, cast

from vmharness._naming import check_prefix, check_sweep_prefix
from vmharness.errors import SettingsError

__all__ = [
    "DEFAULT_LIFECYCLE",
    "FALLS",
    "SETTINGS",
    "Leaks",
    "RecordMode",
    "Setting",
    "Settings",
    "Source",
    "SweepMode",
    "environment",
    "nearest_pyproject",
    "parse_bytes",
    "parse_seconds",
    "pyproject",
    "read_settings",
]

# The lifecycle plugins that are on unless the setting says otherwise, in order, and what falls without each.
FALLS: Final = {
    "reaper": "machines of a killed run stay until the next session's sweep",
    "signals": "SIGTERM and SIGHUP leave machines to the next session's sweep",
    "sweep": "machines of dead sessions stay",
    "tracking": "machines that tests make by other means stay",
    "teardown": "machines stay until the session's end",
}
DEFAULT_LIFECYCLE: Final = tuple(FALLS)


class SweepMode(StrEnum):
    """What is swept at a session's start."""

    OWNED = "owned"
    PREFIX = "prefix"
    OFF = "off"


class Leaks(StrEnum):
    """What a machine that could not be deleted does to its test."""

    WARN = "warn"
    ERROR = "error"


class RecordMode(StrEnum):
    """What is recorded of machines that others make; each says more than the one before."""

    OFF = "off"
    NAMES = "names"
    COMMANDS = "commands"
    PATHS = "paths"

    @property
    def takes_names(self) -> bool:
        """Whether machines are that a test class names."""
        return self is not RecordMode.OFF

    @property
    def takes_commands(self) -> bool:
        """Whether machines are that engines' own commands make."""
        return self in (RecordMode.COMMANDS, RecordMode.PATHS)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings of a session; `SETTINGS` says what each means."""

    backend: str = ""
    image: str = ""
    create_timeout: float = 300.0
    sweep: SweepMode = SweepMode.OWNED
    prefix: str = "vmh"
    sweep_prefix: tuple[str, ...] = ()
    leaks: Leaks = Leaks.WARN
    record: RecordMode = RecordMode.NAMES
    lifecycle: tuple[str, ...] = DEFAULT_LIFECYCLE

    def __post_init__(self) -> None:
        """Check what concerns more than one setting."""
        if self.sweep is SweepMode.PREFIX and not self.sweep_prefix:
            raise SettingsError("cannot sweep by prefix: no prefix is set; set sweep_prefix as well")
        object.__setattr__(self, "lifecycle", _switched(self.lifecycle))


def _switched(names: Sequence[str]) -> tuple[str, ...]:
    """Return the lifecycle plugins that are on, in order: those that are named, or the default ones, changed.

    Raises:
        SettingsError: The names contradict each other, or the default.
    """

    def refuse(why: str) -> SettingsError:
        return SettingsError(f"cannot use the lifecycle plugins {', '.join(names)}: {why}")

    changes = [name for name in names if name.startswith(("+", "-"))]
    if changes and len(changes) < len(names):
        raise refuse("either name all that shall be on, or change the default by -NAME and +NAME")
    on = list(DEFAULT_LIFECYCLE) if changes else []
    for name in names:
        plain = name.lstrip("+-")
        if not name.startswith("-"):
            if plain in on:
                raise refuse(f"{plain!r} is on already")
            on.append(plain)
        elif plain in on:
            on.remove(plain)
        else:
            raise refuse(f"{plain!r} isn't on; by default {', '.join(DEFAULT_LIFECYCLE)} are")
    return tuple(on)


_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_BYTES: Final = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def parse_seconds(text: str) -> float:
    """Read a duration such as 90, 90s, 5m, 12h or 1d as seconds; raise ValueError if it isn't one."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd]?)", text.strip())
    if not match or float(match[1]) == 0:
        raise ValueError("not a duration above zero: write seconds, or a number with s, m, h or d")
    return float(match[1]) * _SECONDS[match[2]]


def parse_bytes(text: str | int) -> int:
    """Read a size such as 536870912, 512M or 2G as bytes; raise ValueError if it isn't one."""
    match = re.fullmatch(r"(\d+)\s*(?:([KMGT])(?:i?B)?)?", str(text).strip())
    if not match or int(match[1]) == 0:
        raise ValueError("not a size above zero: write bytes, or a number with K, M, G or T")
    return int(match[1]) * _BYTES[match[2] or ""]


def _text(text: str) -> str:
    if not text.strip():
        raise ValueError("empty")
    return text.strip()


def _choice(kind: type[StrEnum]) -> Callable[[str], StrEnum]:
    def parse(text: str) -> StrEnum:
        try:
            return kind(text.strip())
        except ValueError:
            raise ValueError(f"not one of {', '.join(kind)}") from None

    return parse


def _plugin(text: str) -> str:
    if not re.fullmatch(r"[+-]?[A-Za-z0-9_][A-Za-z0-9_.-]*", text.strip()):
        raise ValueError("not the name of a plugin, nor one with + or - before it")
    return text.strip()


class Setting:
    """One line of the table. A plain class: every pytest run makes it, and pays for a dataclass.

    Attributes:
        name: Its key in pyproject.toml; `--vm-NAME`, ini `vm_NAME` and `VMHARNESS_NAME` follow from it.
        parse: Reads one value; raises ValueError.
        help: What it means, one line.
        metavar: What a value looks like.
        many: Whether it holds several values: a list, or in a variable separated by commas.
        option: Whether it has an option on pytest's command line.
    """

    def __init__(
        self,
        *,
        name: str,
        parse: Callable[[str], Any],
        help: str,
        metavar: str,
        many: bool = False,
        option: bool = True,
    ) -> None:
        self.name: Final = name
        self.parse: Final = parse
        self.help: Final = help
        self.metavar: Final = metavar
        self.many: Final = many
        self.option: Final = option


SETTINGS: Final = (
    Setting(
        name="backend",
        parse=_text,
        metavar="NAME",
        help="backend that makes the machines (default: the first engine that answers)",
    ),
    Setting(
        name="image",
        parse=_text,
        metavar="IMAGE",
        help="image of machines that don't ask for one, as ubuntu:24.04 or in the engine's own form",
    ),
    Setting(
        name="create_timeout",
        parse=parse_seconds,
        metavar="SECONDS",
        help="how long a create may take, in seconds or as 90s, 5m (default: 300)",
    ),
    Setting(
        name="sweep",
        parse=_choice(SweepMode),
        metavar="{owned,prefix,off}",
        help="what is swept at the start: machines of dead sessions (owned, the default), "
        "those and machines of others by prefix (prefix), nothing (off)",
    ),
    Setting(
        name="prefix",
        parse=check_prefix,
        metavar="PREFIX",
        help="how our machines' names begin (default: vmh)",
    ),
    Setting(
        name="sweep_prefix",
        parse=check_sweep_prefix,
        metavar="PREFIX",
        many=True,
        help="with sweep=prefix: delete machines whose names start with this; may be repeated",
    ),
    Setting(
        name="leaks",
        parse=_choice(Leaks),
        metavar="{warn,error}",
        help="a machine that could not be deleted is a warning (the default) or an error of its test",
    ),
    Setting(
        name="record",
        parse=_choice(RecordMode),
        metavar="{off,names,commands,paths}",
        help="which machines are recorded that tests make themselves: those that a class names as "
        "test_vm_name (names, the default); also those that an engine's own command makes (commands), even "
        "if the test calls it by its path (paths); or none but those that vmharness is told of (off)",
    ),
    Setting(
        name="lifecycle",
        parse=_plugin,
        metavar="NAME",
        many=True,
        option=False,
        help=f"the lifecycle plugins, in order (default: {', '.join(DEFAULT_LIFECYCLE)}); or what to change "
        "of the default: -NAME switches one off, +NAME puts one last",
    ),
)


class Source:
    """A place that settings come from.

    Args:
        label: Says where a setting of that name is made, for errors.
        get: Returns the raw value or values of a setting, None if this place doesn't make it.
    """

    def __init__(self, label: Callable[[str], str], get: Callable[[str], str | Sequence[str] | None]) -> None:
        self.label: Final = label
        self.get: Final = get


def environment(environ: Mapping[str, str]) -> Source:
    """Make a source of the variables `VMHARNESS_NAME`; an empty one counts as not set."""

    def variable(name: str) -> str:
        return f"VMHARNESS_{name.upper()}"

    return Source(variable, lambda name: environ.get(variable(name)) or None)


def nearest_pyproject(folder: Path) -> Path | None:
    """Return the pyproject.toml in the folder or the nearest one above it."""
    for place in (folder, *folder.parents):
        if (place / "pyproject.toml").is_file():
            return place / "pyproject.toml"
    return None


def pyproject(path: Path | None) -> Source:
    """Make a source of the table `[tool.vmharness]` of a file; None = of nothing.

    Raises:
        SettingsError: The table holds a key that is no setting, or the file isn't TOML.
    """
    table: dict[str, Any] = {}
    content = path.read_bytes() if path else b""
    if b"vmharness" in content:  # parsing costs more than a look
        import tomllib

        try:
            table = tomllib.loads(content.decode("utf-8")).get("tool", {}).get("vmharness", {})
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
            raise SettingsError(f"cannot read {path}: {exc}") from exc
    table = {key.replace("-", "_"): value for key, value in table.items()}
    unknown = sorted(set(table) - {setting.name for setting in SETTINGS})
    if unknown:
        known = ", ".join(setting.name for setting in SETTINGS)
        raise SettingsError(f"cannot use {unknown[0]!r} of [tool.vmharness] in {path}; known are {known}")

    def get(name: str) -> str | Sequence[str] | None:
        value = table.get(name)
        if isinstance(value, list):
            return [str(part) for part in cast("list[object]", value)]
        return None if value is None else str(value)

    return Source(lambda name: f"[tool.vmharness] {name} in {path}", get)


def read_settings(sources: Iterable[Source]) -> Settings:
    """Read all settings, each from the first source that makes it.

    Raises:
        SettingsError: A value is malformed; the message names the place, the value and what is right.
    """
    sources = tuple(sources)
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        for source in sources:
            raw = source.get(setting.name)
            if raw is not None:
                values[setting.name] = _parse(setting, raw, source.label(setting.name))
                break
    return Settings(**values)


def _parse(setting: Setting, raw: str | Sequence[str], place: str) -> object:
    parts = re.split(r"[,\n]", raw) if isinstance(raw, str) and setting.many else raw
    try:
        if setting.many:
            return tuple(setting.parse(part.strip()) for part in parts)
        if not isinstance(parts, str):
            raise ValueError("a list, where one value is needed")
        return setting.parse(parts)
    except ValueError as exc:
        raise SettingsError(f"cannot use {place} = {raw!r}: {exc}") from exc


assert {setting.name for setting in SETTINGS} == {field.name for field in fields(Settings)}  # noqa: S101
