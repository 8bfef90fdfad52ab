"""All that is public, one line a name, as a text that is kept: a change of it is never an accident.

`python tests/support/public_names.py` writes it anew.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FunctionType
from typing import Final

__all__ = ["KEPT", "PUBLIC", "lines"]

KEPT: Final = Path(__file__).parents[1] / "unit" / "public_names.txt"
PUBLIC: Final = (
    "vmharness",
    "vmharness.cli",
    "vmharness.command",
    "vmharness.errors",
    "vmharness.hooks",
    "vmharness.provider",
    "vmharness.pytest_plugin",
    "vmharness.testing",
)


# Users get them, and never make one.
_MADE_FOR_USERS: Final = ("vmharness.Machine", "vmharness.Session")


def lines() -> Sequence[str]:
    """Return a line for each public name, with the parameters of what can be called."""
    found: list[str] = []
    for home in PUBLIC:
        module = importlib.import_module(home)
        for name in module.__all__:
            found += _described(f"{home}.{name}", getattr(module, name))
    return found


def _described(path: str, value: object) -> Iterator[str]:
    yield path + _parameters(value)
    if inspect.isclass(value):
        for name, member in sorted(_members(value).items()):
            if (path, name) not in {(made, "__init__") for made in _MADE_FOR_USERS}:
                yield f"{path}.{name}{_parameters(getattr(member, '__func__', member))}"


def _parameters(value: object) -> str:
    if not isinstance(value, FunctionType):
        return ""
    empty = inspect.Parameter.empty
    parameters = [
        parameter.replace(annotation=empty, default=empty if parameter.default is empty else _DEFAULT)
        for parameter in inspect.signature(value).parameters.values()
    ]
    return str(inspect.Signature(parameters))


class _Default:
    """Stands for any default."""

    def __repr__(self) -> str:
        return "…"


_DEFAULT: Final = _Default()


def _members(kind: type) -> dict[str, object]:
    """Return what classes of ours define, and the names that they annotate."""
    members: dict[str, object] = {}
    for one in reversed(kind.__mro__):
        if one.__module__.startswith("vmharness"):
            members.update(dict.fromkeys(inspect.get_annotations(one)))
            members.update(vars(one))
    return {
        name: member
        for name, member in members.items()
        if not name.startswith("_") or (name == "__init__" and isinstance(member, FunctionType))
    }


if __name__ == "__main__":
    KEPT.write_text("".join(f"{line}\n" for line in lines()))
