"""`vmharness doctor`: what is installed and on, whether it works, and what to do about what doesn't."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from vmharness.cli._backends import plain, show
from vmharness.cli._common import JsonOption, console, count, print_json, say, table

if TYPE_CHECKING:
    from vmharness.cli._findings import Finding
    from vmharness.cli._plugin_checks import Plugin

__all__ = ["doctor"]


def doctor(*, json: JsonOption = False) -> None:
    """Show what is installed and which plugins are on, and find what is wrong.

    Looked at are backends and their engines, lifecycle plugins, settings, the state folder and what dead
    runs left there, signals, and whether pytest knows the plugin in the current folder. Asking starts no
    engine, deletes nothing and changes no setting.

    Exit status: 0 if nothing is wrong that prevents use, else 1. A warning prevents nothing.
    """
    from vmharness._ledger import FileLedgers
    from vmharness.cli import _findings as around
    from vmharness.cli import _plugin_checks as plugin_checks
    from vmharness.cli import _state_checks as state_checks
    from vmharness.cli._engines import ranked, survey

    settings, findings = around.check_settings(os.environ, Path.cwd())
    ledgers = FileLedgers.usual()
    with console(stderr=True).status("asking the engines and pytest"):
        plugins = plugin_checks.lifecycle_plugins(settings)
        engines = survey()
        findings = [
            *around.check_packages(),
            *findings,
            *plugin_checks.check_cache(),
            *plugin_checks.check_backends(engines, settings.backend),
            *plugin_checks.check_lifecycle(plugins),
            *state_checks.check_state(ledgers, os.environ),
            *state_checks.check_ledgers(ledgers),
            *state_checks.check_orphans(ledgers, engines),
            *around.check_signals(),
        ]
        for finding in around.check_pytest(os.environ):
            if not any(said.what in finding.what for said in findings):  # it reads the same settings
                findings.append(finding)
    default = settings.backend or next((engine.backend for engine in ranked(engines)), "")
    about = {
        "vmharness": _version("vmharness"),
        "python": f"{platform.python_version()} on {platform.system()}",
        "pytest": _version("pytest"),
        "state": str(ledgers.folder),
    }
    if json:
        rows = [asdict(plugin) for plugin in plugins]
        shown = {"backends": [plain(engine, default) for engine in engines], "lifecycle": rows}
        print_json({**about, **shown, "findings": [asdict(finding) for finding in findings]})
    else:
        say(f"vmharness {about['vmharness']}, Python {about['python']}, pytest {about['pytest']}")
        say(f"state is kept in {about['state']}\n")
        show(engines, default)
        _show_plugins(plugins)
        _show_findings(findings)
    if any(finding.level is around.Level.ERROR for finding in findings):
        raise typer.Exit(1)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _show_plugins(plugins: Sequence[Plugin]) -> None:
    rows = table("LIFECYCLE", "FROM", "ORDER", "")
    for plugin in plugins:
        place = "off" if plugin.place is None else str(plugin.place)
        note = plugin.falls if plugin.loads else "doesn't load"
        rows.add_row(
            plugin.name,
            plugin.distribution or "-",
            place,
            note,
            style="red" if not plugin.loads else "dim" if plugin.place is None else None,
        )
    say()
    console().print(rows)


def _show_findings(findings: Sequence[Finding]) -> None:
    styles: dict[str, Any] = {"error": "red", "warning": "yellow"}
    for finding in findings:
        say()
        say(f"{finding.level}: {finding.about}: {finding.what}", style=styles[finding.level])
        if finding.remedy:
            say(f"    what to do: {finding.remedy}")
    errors = sum(finding.level == "error" for finding in findings)
    say()
    if findings:
        say(f"{count(errors, 'error')}, {count(len(findings) - errors, 'warning')}")
    else:
        say("Nothing is wrong.", style="green")
