"""The command's parser: which commands there are, and what holds for all of them."""

from __future__ import annotations

from typing import Annotated

import typer

from vmharness.cli._backends import backends
from vmharness.cli._demo import demo
from vmharness.cli._doctor import doctor
from vmharness.cli._list import list_machines
from vmharness.cli._protect import protect, unprotect
from vmharness.cli._run import run
from vmharness.cli._sweep import sweep
from vmharness.cli._verify import verify

__all__ = ["app"]

app = typer.Typer(
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def _show_version(asked: bool) -> None:  # noqa: FBT001 - typer calls it so
    if asked:
        from importlib.metadata import version

        typer.echo(f"vmharness {version('vmharness')}")
        raise typer.Exit


@app.callback()
def vmharness(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", metavar="", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Test machines from any engine, that go away whatever happens.

    Settings are read from `VMHARNESS_…` variables and from `[tool.vmharness]` in the nearest
    pyproject.toml. To see what it does, run `vmharness demo`.
    """


app.command()(demo)
app.command()(backends)
app.command()(doctor)
app.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})(run)
app.command("list")(list_machines)
app.command()(sweep)
app.command()(protect)
app.command()(unprotect)
app.command()(verify)
