"""What orbctl prints, as it was captured from the real one; it knows no command and no engine."""

from __future__ import annotations

import json
import sys

from vmharness_orbctl._settings import release

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from vmharness_orbctl._failure import Failure
    from vmharness_orbctl._types import Settings

__all__ = ["NO_MACHINES", "agreed", "banner", "details", "failure", "listing", "usage", "version"]

NO_MACHINES = """\
To use Docker:
    docker run ...
See "orb docker" for more info.

To create a Linux machine:
    orb create ubuntu
See "orb create --help" for supported distros and options."""
_PROMPT = """\
WARNING: This will PERMANENTLY DELETE ALL DATA in the following machines:
  {}
You cannot undo this action.

Continue [y/N]? """
_BANNER = """
    ╭────────────────────────────────────────────────────────╮
    │               OrbStack update available!               │
    │              Run "orb update" to update.               │
    │   Updates include improvements, features, and fixes.   │
    ╰────────────────────────────────────────────────────────╯
"""
_COMMITS = {
    "2.0.5": "cfe47627f138ffd822c958553b0a93eaf2692c71",
    "2.2.3": "c83556b0ef8f1ba9a33abbb194622b6b7a1c0307",
}


def failure(failed: Failure) -> None:
    """Print why a command failed."""
    sys.stdout.flush()
    print(failed, file=sys.stderr)


def usage(program: str, words: str = "COMMAND [ARGS]...") -> None:
    """Print how a command is used."""
    print(f"Usage:\n  {program} {words}")


def banner(settings: Settings) -> None:
    """Print the news of an update if that is set; which stream the real one takes is not known."""
    stream = settings.get("banner")
    if stream:
        print(_BANNER, file=sys.stdout if stream == "stdout" else sys.stderr, flush=True)


def version(settings: Settings) -> None:
    """Print the release and its commit."""
    parts = (*release(settings), 0, 0)[:3]
    name = ".".join(str(part) for part in parts)
    number = f"{parts[0]}{parts[1]:02}{parts[2]:02}00"
    print(f"Version: {name} ({number})\nCommit: {_COMMITS.get(name, '0' * 40)} (v{name})")


def agreed(names: Sequence[str]) -> bool:
    """Ask whether machines shall be deleted; which stream the real one asks on is not known."""
    print(_PROMPT.format("\n  ".join(names)), end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def listing(found: Sequence[Mapping[str, Any]], settings: Settings, *, quiet: bool, form: str) -> None:
    """Print machines as `list` does: as JSON, as names, or as a table."""
    if form == "json":
        records = [details["record"] for details in found]
        _write(records if records or not settings.get("null_list") else None, settings)
    elif quiet:
        print("".join(f"{details['record']['name']}\n" for details in found), end="")
    else:
        _table(found, release(settings))


def details(found: Mapping[str, Any], settings: Settings, *, form: str) -> None:
    """Print one machine as `info` does; what its text looks like is a (guess)."""
    if form == "json":
        _write(found, settings)
        return
    record, image = found["record"], found["record"]["image"]
    print(f"Name: {record['name']}\nState: {record['state']}")
    print(f"Distro: {image['distro']}\nVersion: {image['version']}\nArch: {image['arch']}")
    for key in ("ip4", "ip6"):
        if key in found:
            print(f"{key.upper().replace('IP', 'IPv')}: {found[key]}")


def _write(value: object, settings: Settings) -> None:
    indent = 2 if settings.get("indent") else None
    print(json.dumps(value, indent=indent, separators=None if indent else (",", ":")))


def _table(found: Sequence[Mapping[str, Any]], of: tuple[int, ...]) -> None:
    header = ["NAME", "STATE", "DISTRO", "VERSION", "ARCH"]
    header += ["SIZE"] if of >= (1, 11) else []
    header += ["IP"] if of >= (2,) else []
    rows = [header, ["-" * len(word) for word in header]]
    for details in found:
        record, image = details["record"], details["record"]["image"]
        size, address = _size(details.get("disk_size", 0)), details.get("ip4", "")
        cells = [record["name"], record["state"], image["distro"], image["version"], image["arch"]]
        rows.append([*cells, size, address][: len(header)])
    widths = [max(len(row[at]) for row in rows) for at in range(len(header))]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        print("  ".join(cells).rstrip())


def _size(size: int) -> str:
    if not size:
        return ""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
