"""`vmharness sweep`: finding orphans, asking, and deleting them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vmharness.cli._common import (
    JsonOption,
    age,
    console,
    count,
    print_json,
    say,
    settings,
    table,
)
from vmharness.errors import SettingsError

if TYPE_CHECKING:
    from vmharness._session import Session
    from vmharness.cli._plan import Doomed, Plan, Wanted
    from vmharness.cli._sweeping import Swept

__all__ = ["sweep"]


def sweep(
    *,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", metavar="", help="Show what would be deleted, and why; delete nothing."),
    ] = False,
    prefix: Annotated[
        list[str] | None,
        typer.Option(
            metavar="P",
            help="Also machines that carry no label of vmharness and whose names start with P; repeatable.",
        ),
    ] = None,
    expired: Annotated[
        bool,
        typer.Option(
            "--expired",
            metavar="",
            help="Also machines of runs whose ledger isn't on this host, past their expiry.",
        ),
    ] = False,
    older_than: Annotated[
        str,
        typer.Option(
            metavar="T", show_default=False, help="Only machines created longer ago than T: 30m, 12h, 1d."
        ),
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", metavar="", help="Delete without asking.")] = False,
    backend: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            show_default=False,
            help="Only machines of this backend (default: dead runs' of any; others of the configured one, "
            "or of the first whose engine answers).",
        ),
    ] = "",
    json: JsonOption = False,
) -> None:
    """Delete orphans: machines whose test run is dead.

    By default those that dead runs on this host have on their books, on whatever engine. Machines of
    living runs, and protected ones, are never touched. Nothing is deleted without `--yes` or a yes at
    the terminal.

    Exit status: 0 if nothing is left that should have gone, else 1.
    """
    from vmharness.cli._plan import make_plan
    from vmharness.cli._sweeping import Swept, carry_out

    wanted = _wanted(backend, prefix or [], older_than, expired=expired)
    if not (dry_run or yes or sys.stdin.isatty()):
        raise typer.BadParameter(
            "there is no terminal to ask at; add --yes to delete, or --dry-run to look", param_hint="--yes"
        )
    with _open(backend) as session:
        with console(stderr=True).status("looking for orphans"):
            plan = make_plan(session, wanted)
        swept = Swept(left=[*plan.left])
        _show_plan(plan, dry_run=dry_run, stderr=json)
        agreed = not dry_run and (yes or bool(plan.doomed and _ask(len(plan.doomed))))
        try:
            if agreed:
                with _progress() as progress:
                    carry_out(session, plan, swept, progress)
        finally:
            if json:
                print_json(_plain(plan.doomed, swept, dry_run=dry_run))
            else:
                _show(swept, declined=bool(plan.doomed) and not agreed)
    if any(left.failed for left in swept.left) or (plan.doomed and not agreed and not dry_run):
        raise typer.Exit(1)


def _wanted(backend: str, prefixes: Sequence[str], older_than: str, *, expired: bool) -> Wanted:
    """Check the options; what is malformed is a usage error."""
    from vmharness._naming import check_sweep_prefix
    from vmharness._settings import parse_seconds
    from vmharness.cli._plan import Wanted

    try:
        prefixes = [check_sweep_prefix(prefix) for prefix in prefixes]
    except SettingsError as exc:
        raise typer.BadParameter(str(exc), param_hint="--prefix") from exc
    try:
        seconds = parse_seconds(older_than) if older_than else None
    except ValueError as exc:
        raise typer.BadParameter(f"{older_than!r} is {exc}", param_hint="--older-than") from exc
    return Wanted(backend=backend, prefixes=tuple(prefixes), expired=expired, older_than=seconds)


@contextmanager
def _open(backend: str) -> Generator[Session]:
    """Open a session without lifecycle plugins: this command itself says when something goes."""
    from vmharness._ledger import FileLedgers
    from vmharness._session import Session

    own = settings()
    session = Session(replace(own, backend=backend or own.backend), ledgers=FileLedgers.usual(), plugins=())
    try:
        yield session
    finally:
        session.close()


def _ask(number: int) -> bool:
    return typer.confirm(f"Delete {count(number)}?", err=True)


@contextmanager
def _progress() -> Generator[Callable[[str], None]]:
    """Say what happens next: at a terminal beside a wheel, elsewhere a line each."""
    shown = console(stderr=True)
    if not shown.is_terminal:
        yield lambda text: say(text, stderr=True)
        return
    with shown.status("") as status:
        yield status.update


def _show_plan(plan: Plan, *, dry_run: bool, stderr: bool) -> None:
    if plan.asked:
        say(f"Asked for what no ledger names: {plan.asked}", style="dim", stderr=stderr)
    if not plan.doomed:
        say("No orphans to delete.", stderr=stderr)
        return
    rows = table("NAME", "BACKEND", "STATE", "AGE", "WHY")
    for item in plan.doomed:
        info, record = item.info, item.record
        rows.add_row(record.name, record.backend, info.state, age(info.created_at), item.why)
    heading = f"{'Would delete' if dry_run else 'To delete'}: {count(len(plan.doomed))}"
    say(heading, style="bold", stderr=stderr)
    console(stderr=stderr).print(rows)


def _show(swept: Swept, *, declined: bool) -> None:
    if swept.deleted:
        names = ", ".join(item.record.name for item in swept.deleted)
        say(f"Deleted {count(len(swept.deleted))}: {names}", style="green")
    elif declined:
        say("Nothing was deleted.")
    for left in swept.left:
        who = f"{left.name} ({left.backend}): " if left.name else ""
        say(f"Left: {who}{left.reason}", style="red" if left.failed else "yellow")
        if left.command:
            say(f"    {left.command}")


def _plain(doomed: Sequence[Doomed], swept: Swept, *, dry_run: bool) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "orphans": [_plain_item(item) for item in doomed],
        "deleted": [_plain_item(item) for item in swept.deleted],
        "left": [asdict(left) for left in swept.left],
    }


def _plain_item(item: Doomed) -> dict[str, Any]:
    return {
        "name": item.record.name,
        "backend": item.record.backend,
        "endpoint": item.record.endpoint,
        "created_at": item.info.created_at,
        "why": item.why,
    }
