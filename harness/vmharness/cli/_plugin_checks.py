"""What a user can have wrong with plugins: backends, lifecycle plugins, what is remembered of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from vmharness._plugins import (
    BACKENDS,
    LIFECYCLE,
    STAND_INS,
    cache_folder,
    distribution,
    installed,
    load_lifecycle,
    stale,
)
from vmharness._settings import FALLS, Settings
from vmharness.cli._asking import PATIENCE_S, Asked
from vmharness.cli._engines import Engine, ranked
from vmharness.cli._findings import Finding, Level
from vmharness.errors import PluginError

__all__ = ["Plugin", "check_backends", "check_cache", "check_lifecycle", "lifecycle_plugins"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """A lifecycle plugin, installed or asked for.

    Attributes:
        name: Its name.
        distribution: Name and version of the distribution that it is from; "" if it isn't installed.
        place: Its place in the order of the hooks, from 1; None = it is off.
        loads: Whether it could be loaded.
        falls: What falls while it is off; "" if it is on, or isn't one of the default ones.
        error: Why it doesn't load; "" if it does.
    """

    name: str
    distribution: str
    place: int | None
    loads: bool
    falls: str = ""
    error: str = ""


def lifecycle_plugins(settings: Settings, *, patience_s: float = PATIENCE_S) -> Sequence[Plugin]:
    """Load all lifecycle plugins, and return first those that are on, in the order of their hooks.

    Args:
        settings: Say which are on.
        patience_s: How long is waited for all of them; what isn't loaded by then doesn't load.
    """
    points = installed(LIFECYCLE)
    on = settings.lifecycle
    off = sorted({point.name for point in points} | set(FALLS) - set(on))
    names = (*on, *(name for name in off if name not in on))
    until = time.monotonic() + patience_s
    asked = {name: Asked(name, partial(_error, name)) for name in names}
    plugins: list[Plugin] = []
    for name in names:
        of = ", ".join(sorted({distribution(one) for one in points if one.name == name}))
        error = asked[name].wait(until)
        if error is None:
            error = f"lifecycle plugin {name!r} of {of} hangs: not loaded after {patience_s:.0f} s; update it"
        plugins.append(
            Plugin(
                name=name,
                distribution=of,
                place=on.index(name) + 1 if name in on else None,
                loads=not error,
                falls="" if name in on else FALLS.get(name, ""),
                error=error,
            )
        )
    return plugins


def _error(name: str) -> str:
    """Return why a lifecycle plugin doesn't load; "" if it does."""
    try:
        load_lifecycle([name])
    except PluginError as exc:
        return str(exc)
    return ""


def check_lifecycle(plugins: Sequence[Plugin]) -> Iterator[Finding]:
    """Yield those that don't load; one that is on prevents every session."""
    for plugin in plugins:
        if plugin.loads:
            continue
        on = plugin.place is not None
        out = f"switch it off by -{plugin.name} in" if plugin.name in FALLS else f"take {plugin.name} out of"
        yield Finding(
            level=Level.ERROR if on else Level.WARNING,
            about="lifecycle",
            what=plugin.error,
            remedy=f"or {out} the setting lifecycle" if on else "",
        )


def check_backends(engines: Sequence[Engine], configured: str) -> Iterator[Finding]:
    """Yield the backends that are broken, and why no machine could be had."""
    for engine in engines:
        if not engine.loads:
            yield Finding(
                level=Level.ERROR if engine.backend == configured else Level.WARNING,
                about="backends",
                what=f"{engine.backend}: {engine.error}",
            )
    chosen = next((engine for engine in engines if engine.backend == configured), None)
    if configured and chosen is None:
        names = ", ".join(engine.backend for engine in engines) or "none"
        yield Finding(
            level=Level.ERROR,
            about="backends",
            what=f"the configured backend {configured!r} isn't installed; installed: {names}",
            remedy="install it, or set another one",
        )
    elif chosen is not None and chosen.loads and not chosen.answers:
        yield Finding(
            level=Level.ERROR,
            about="backends",
            what=f"the engine of the configured backend {configured!r} doesn't answer: {chosen.error}",
        )
    elif not configured and not ranked(engines):
        yield Finding(
            level=Level.ERROR,
            about="backends",
            what="no engine answers, and no backend is set: tests that want a machine are skipped",
            remedy="start an engine, or name a backend that needs none by VMHARNESS_BACKEND",
        )


def check_cache(remembered_wrongly: Callable[[str], Sequence[str]] = stale) -> Iterator[Finding]:
    """Yield what stevedore remembers wrongly: an installed plugin isn't found, or another one is taken.

    Args:
        remembered_wrongly: Returns the names of a namespace of which it does so.
    """
    wrong = [name for namespace in (BACKENDS, LIFECYCLE, STAND_INS) for name in remembered_wrongly(namespace)]
    if wrong:
        yield Finding(
            level=Level.WARNING,
            about="plugins",
            what="stevedore's cache of entry points is stale: what it says of "
            f"{', '.join(wrong)} isn't what is installed",
            remedy=f"delete the folder {cache_folder()}; it is made again",
        )
