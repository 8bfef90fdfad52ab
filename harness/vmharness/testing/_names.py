"""Names that look like a machine's, and mean none: no engine may read a name as anything but a name."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["mistakable"]


def mistakable(name: str, other: str) -> Sequence[str]:
    """Return what a careless backend takes for a machine's name.

    Args:
        name: Name of a machine that is there, with letters and a hyphen in it.
        other: Name of another one.
    """
    start, end = name[:-1], name[-1]
    parts = (start, name[1:])
    folded = (name.upper(), name.capitalize(), name.replace("-", "_"))
    trimmed = (
        f" {name}",
        f"{name} ",
        f"{name}\n",
        f"/{name}",
        f"./{name}",
        f"{name}/",
        f"{name}:",
    )
    lists = (f"{name},{other}", f"{name} {other}", f"{name}\n{other}")
    globs = (f"{start}?", f"{start}*", f"{start}[{end}]", f"{start}{{{end},}}")
    expressions = (f"{start}.", f"{start}.*", f"^{name}$", "." * len(name), f"({name})", f"{name}|{other}")
    like = (f"{start}%", f"{start}_", f"{name}' OR '1'='1")
    return [*parts, *folded, *trimmed, *lists, *globs, *expressions, *like, "0", "1", "2"]
