"""`vmharness verify`: the conformance kit, run on an installed backend from outside, and its report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from vmharness.cli._common import JsonOption, console, count, print_json, say
from vmharness.cli._stopping import Stopped, stopping

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmharness.cli._verify_run import Report, Result

__all__ = ["verify"]

_MARKS = {"passed": ("✓", "green"), "failed": ("✗", "red"), "skipped": ("-", "dim")}


def verify(
    backend: Annotated[
        str, typer.Argument(metavar="BACKEND", show_default=False, help="Name of an installed backend.")
    ],
    *,
    image: Annotated[
        str,
        typer.Option(
            "--image",
            metavar="NAME",
            show_default=False,
            help="Image of the machines (default: the backend's own); a small one is quicker.",
        ),
    ] = "",
    create_timeout: Annotated[
        float, typer.Option("--create-timeout", metavar="S", min=1.0, help="Deadline of each create.")
    ] = 300.0,
    delete_timeout: Annotated[
        float, typer.Option("--delete-timeout", metavar="S", min=1.0, help="Deadline of each delete.")
    ] = 60.0,
    json: JsonOption = False,
) -> None:
    """Check that a backend keeps the contract, on the engine that the environment names.

    Makes some hundred machines one after another, named `conf-…`, and deletes each. Machines that are
    there are left alone; an engine that has some of such names is refused.

    Exit status: 0 if the backend passes all that it must, and all of the capabilities that it has. A check
    that it should pass is shown, and changes nothing.
    """
    from vmharness.cli._verify_run import run_checks
    from vmharness.testing import checks

    # What is printed goes above a spinner of the same console, and through one of another.
    screen = console(stderr=json or not console().is_terminal)
    try:
        with stopping(), screen.status("checking") as status:
            shown = _Shown(len(checks()), status.update, quiet=json)
            report = run_checks(
                backend,
                image=image,
                create_timeout_s=create_timeout,
                delete_timeout_s=delete_timeout,
                begun=shown.begun,
                checked=shown.checked,
            )
    except Stopped as exc:
        raise typer.Exit(128 + exc.number) from exc
    if json:
        print_json(report.plain())
    else:
        _show_end(report)
    if not report.keeps:
        raise typer.Exit(1)


class _Shown:
    """What is shown while the checks go on; each line at once, also where somebody reads a pipe."""

    def __init__(self, total: int, update: Callable[[str], None], *, quiet: bool) -> None:
        self._total = total
        self._update = update
        self._quiet = quiet
        self._number = 0
        self._verb = ""

    def begun(self, engine: str) -> None:
        if not self._quiet:
            say(engine)

    def checked(self, result: Result) -> None:
        self._number += 1
        self._update(f"checked {self._number} of {self._total}: {result.check.verb}")
        if self._quiet:
            return
        if result.check.verb != self._verb:
            self._verb = result.check.verb
            say(f"\n{self._verb}", style="bold")
        _show_one(result)


def _show_end(report: Report) -> None:
    say()
    for level, outcomes in report.counts().items():
        if parts := ", ".join(f"{number} {outcome}" for outcome, number in outcomes.items() if number):
            say(f"{level:<7}{parts}")
    if any(result.lacks for result in report.results):
        say("\nWhat takes a fixture is checked by a test of the backend's own, with ProviderContract.")
    if report.error:
        say(f"\nThe checks didn't come to an end: {report.error}", style="red")
    failed = [result for result in report.results if result.outcome == "failed"]
    grave = [result for result in failed if result.counts]
    if report.keeps:
        more = f"; {count(len(failed), 'check')} that it should pass failed" if failed else ""
        say(f"\n{report.backend} {_kept(report)}{more}.", style="green")
    elif grave:
        say(f"\n{report.backend} breaks the contract: {count(len(grave), 'check')} failed.", style="red")


def _kept(report: Report) -> str:
    """Say what a backend keeps that breaks nothing: all of the contract only if all of it was looked at."""
    unchecked = report.unchecked()
    if not unchecked:
        return "keeps the contract"
    needs = "need" if len(unchecked) > 1 else "needs"
    fixtures = ", ".join(sorted({result.lacks for result in unchecked}))
    return f"keeps what could be checked: {count(len(unchecked), 'must')} {needs} a fixture ({fixtures})"


def _show_one(result: Result) -> None:
    mark, style = _MARKS[result.outcome]
    level = "" if result.check.level == "must" else f" [{result.check.level}]"
    say(f"  {mark} {result.check.sentence}{level}", style=style)
    if result.reason:
        lines = result.reason.splitlines()
        for line in lines if result.outcome == "failed" else lines[:1]:
            say(f"      {line}", style="" if result.outcome == "failed" else "dim")
    if result.outcome == "failed":
        say(f"      check: {result.check.name}", style="dim")
