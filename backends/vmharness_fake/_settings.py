"""What the environment says of the fake engine; it knows neither engine nor provider."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from vmharness.errors import SettingsError

__all__ = ["FOLDER", "Latencies", "takes_labels"]

FOLDER: Final = "VMHARNESS_FAKE_DIR"


@dataclass(frozen=True, slots=True, kw_only=True)
class Latencies:
    """How slow the engine is.

    Attributes:
        create_s: Seconds that a create takes.
        delete_s: Seconds that a delete takes.
        settle_s: Seconds after its deadline within which a create may still bring a machine.
    """

    create_s: float = 0.0
    delete_s: float = 0.0
    settle_s: float = 2.0

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Latencies:
        """Read them from the environment; raise SettingsError if one is malformed."""
        return cls(
            create_s=_seconds(environ, "VMHARNESS_FAKE_CREATE_S", cls().create_s),
            delete_s=_seconds(environ, "VMHARNESS_FAKE_DELETE_S", cls().delete_s),
            settle_s=_seconds(environ, "VMHARNESS_FAKE_SETTLE_S", cls().settle_s),
        )


def takes_labels(environ: Mapping[str, str]) -> bool:
    """Say whether the engine shall have labels; raise SettingsError if the variable is malformed."""
    text = environ.get("VMHARNESS_FAKE_LABELS", "")
    if text not in {"", "0", "1"}:
        raise SettingsError(f"cannot read VMHARNESS_FAKE_LABELS={text!r}: set it to 1, to 0, or not at all")
    return text != "0"


def _seconds(environ: Mapping[str, str], variable: str, default: float) -> float:
    text = environ.get(variable, "")
    if not text:
        return default
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds >= 0):
        raise SettingsError(f"cannot read {variable}={text!r}: set it to a number of seconds, 0 or more")
    return seconds
