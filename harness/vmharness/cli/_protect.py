"""`vmharness protect` and `vmharness unprotect`: machines that nobody of ours deletes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from vmharness.cli._common import BackendOption, JsonOption, print_json, say, settings
from vmharness.errors import SettingsError

if TYPE_CHECKING:
    from vmharness._protected import ProtectedList
    from vmharness._providers import Providers

__all__ = ["protect", "unprotect"]

_Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the machine.", show_default=False)]


def protect(name: _Name, *, backend: BackendOption = "", json: JsonOption = False) -> None:
    """Protect a machine: no test run and no sweep of yours on this host deletes it.

    May be repeated. It holds until `vmharness unprotect NAME`, and for that engine only.
    """
    from vmharness._protected import Protected

    providers, protected = _open(backend)
    provider = providers.get()
    # Asked of the listing, not of `exists`: that one may know a name in another spelling.
    if name not in {info.name for info in provider.list()}:
        raise SettingsError(f"cannot protect {name!r}: no machine has that name at {provider.endpoint}")
    machine = Protected(providers.backend(), provider.endpoint, name)
    before = machine in protected.read()
    if not before:
        protected.add(machine)
    if json:
        print_json({**machine._asdict(), "protected": True, "changed": not before})
    else:
        say(f"{name} at {provider.endpoint} {'was protected already' if before else 'is protected now'}")


def unprotect(name: _Name, *, backend: BackendOption = "", json: JsonOption = False) -> None:
    """Take a machine off the list of protected ones; whether it is still there doesn't matter."""
    from vmharness._protected import Protected

    providers, protected = _open(backend)
    machine = Protected(providers.backend(), providers.get().endpoint, name)
    there = [other for other in protected.read() if other.endpoint == machine.endpoint]
    # Of any backend: two may lead to one engine.
    found = [other for other in there if other.name == name]
    if not found:
        names = ", ".join(sorted(other.name for other in there)) or "none"
        raise SettingsError(f"cannot unprotect {name!r}; protected at {machine.endpoint}: {names}")
    for other in found:
        protected.remove(other)
    if json:
        print_json({**machine._asdict(), "protected": False, "changed": True})
    else:
        say(f"{name} at {machine.endpoint} is not protected any more")


def _open(backend: str) -> tuple[Providers, ProtectedList]:
    from vmharness._ledger import FileLedgers
    from vmharness._protected import ProtectedList
    from vmharness._providers import Providers

    return Providers(backend or settings().backend), ProtectedList(FileLedgers.usual().folder)
