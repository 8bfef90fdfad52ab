"""`vmharness demo`: a suite that loses machines in every way, played to the user; it ends with none left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from vmharness.cli._common import (
    BackendOption,
    JsonOption,
    console,
    print_json,
    renew_consoles,
    say,
    settings,
)
from vmharness.cli._stopping import Stopped, stopping

if TYPE_CHECKING:
    from vmharness.cli._demo_stage import Folder

__all__ = ["demo"]


def demo(*, backend: BackendOption = "", json: JsonOption = False) -> None:
    """Show on an engine of yours that no machine is left, whatever happens to a test run.

    Runs a small pytest suite in a folder of its own: tests that pass, fail and time out, then a whole
    run that is killed, and the next one. Where no engine answers, the machines are made up.

    Exit status: 0 if all went as planned, and the engine has none of the machines at the end.
    """
    from vmharness.cli._demo_play import Play
    from vmharness.cli._demo_stage import choose_stage, clean_up, open_folder

    with stopping(), open_folder() as folder:
        play = None
        try:
            with console(stderr=True).status("") as status:
                stage = choose_stage(folder, settings(), backend, status.update)
            play = Play(folder, stage, stderr=json)
            left = play.perform()
        except BaseException as exc:
            renew_consoles()
            with console(stderr=True).status("cleaning up"):
                clean_up(folder)
            if play is not None:
                play.broken_off()
            if isinstance(exc, Stopped):
                raise typer.Exit(128 + exc.number) from exc
            raise
        finally:
            _let_go(folder)
        if json:
            print_json(play.plain(left))
    if left or play.problems:
        raise typer.Exit(1)


def _let_go(folder: Folder) -> None:
    """Remove the demo's folder, unless it is needed to find a machine."""
    records = folder.unsettled()
    if not records:
        folder.remove()
        return
    names = ", ".join(record.name for record in records)
    say(f"It isn't known whether these are or will be there: {names}. To look again:", stderr=True)
    say(
        f"    VMHARNESS_STATE_DIR={folder.ledgers.state} vmharness sweep --backend {records[0].backend}",
        stderr=True,
    )
