"""`vmharness backends`: what is installed, whether it loads, and whether its engine answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vmharness.cli._common import JsonOption, console, print_json, say, settings, table

if TYPE_CHECKING:
    from vmharness.cli._engines import Engine

__all__ = ["backends", "plain", "show"]


def backends(*, json: JsonOption = False) -> None:
    """Show the installed backends, and which engines answer.

    Asking starts no engine. The one marked with * is used when a command or a test run names none.
    """
    from vmharness.cli._engines import ranked, survey

    configured = settings().backend
    with console(stderr=True).status("asking the engines"):
        engines = survey()
    default = configured or next((engine.backend for engine in ranked(engines)), "")
    if json:
        print_json([plain(engine, default) for engine in engines])
        return
    show(engines, default)
    if default and default not in {engine.backend for engine in engines}:
        say(f"\nThe configured backend {default!r} isn't installed.", style="red")
    elif not default:
        say("\nNone is used unless it is named: set VMHARNESS_BACKEND, or use --backend.")


def plain(engine: Engine, default: str) -> dict[str, object]:
    """Return a backend as JSON shows it."""
    return {
        "name": engine.backend,
        "distribution": engine.distribution,
        "loads": engine.loads,
        "answers": engine.answers,
        "default": engine.backend == default,
        "endpoint": engine.endpoint,
        "engine": engine.engine,
        "machines": None if engine.machines is None else len(engine.machines),
        "error": engine.error,
    }


def show(engines: Sequence[Engine], default: str) -> None:
    """Show the backends as a table, and why some don't answer."""
    rows = table("BACKEND", "FROM", "ENGINE", "ENDPOINT")
    for engine in engines:
        state = "answers" if engine.answers else "doesn't answer" if engine.loads else "doesn't load"
        rows.add_row(
            f"{engine.backend}{' *' if engine.backend == default else ''}",
            engine.distribution,
            f"{engine.engine or state}",
            engine.endpoint or "-",
            style=None if engine.answers else "dim",
        )
    console().print(rows)
    for engine in engines:
        if engine.error:
            say(f"\n{engine.backend}: {engine.error}")
