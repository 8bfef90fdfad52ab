"""`vmharness list`: the machines of an engine, and whose they are."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from vmharness.cli._common import (
    BackendOption,
    JsonOption,
    age,
    console,
    count,
    print_json,
    say,
    settings,
    table,
)

__all__ = ["list_machines"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """A machine. Times are seconds since the epoch, None if unknown."""

    name: str
    state: str
    image: str
    owner: str
    created_at: float | None
    expires: float | None
    protected: bool
    address: str
    backend: str
    endpoint: str


_STYLES = {"this": "green", "living": "green", "dead": "red", "unknown": "yellow", "stranger": "dim"}


def list_machines(*, backend: BackendOption = "", json: JsonOption = False) -> None:
    """List the machines of an engine, and whose they are.

    OWNER is **this** (of the test run that the command is called from), **living** (of another run on
    this host), **dead** (its run is dead: `vmharness sweep` deletes it), **unknown** (of a run whose
    ledger isn't on this host) or **stranger** (not made by vmharness).
    """
    with console(stderr=True).status("asking the engine"):
        name, endpoint, rows = _read(backend)
    if json:
        print_json([asdict(row) for row in rows])
        return
    if rows:
        shown = table("NAME", "STATE", "IMAGE", "OWNER", "AGE", "")
        for row in rows:
            marks = "protected" if row.protected else ""
            shown.add_row(
                row.name,
                row.state,
                row.image or "-",
                row.owner,
                age(row.created_at),
                marks,
                style=_STYLES[row.owner],
            )
        console().print(shown)
    say(f"{count(len(rows))} at {endpoint} ({name})", style="dim")


def _read(backend: str) -> tuple[str, str, Sequence[_Row]]:
    """Return the backend, its endpoint, and the machines there, sorted by name."""
    from vmharness._cleanup import expiry
    from vmharness._ledger import FileLedgers
    from vmharness._owners import Owners
    from vmharness._protected import ProtectedList
    from vmharness._providers import Providers

    providers = Providers(backend or settings().backend)
    provider, ledgers = providers.get(), FileLedgers.usual()
    machines = provider.list()
    # Read after the listing: a machine that a living owner has just made is then on the books.
    owners = Owners(ledgers, os.environ.get("VMHARNESS_SESSION", ""))
    protected = {
        machine.name
        for machine in ProtectedList(ledgers.folder).read()
        if machine.endpoint == provider.endpoint
    }
    rows = [
        _Row(
            name=info.name,
            state=info.state,
            image=info.image,
            owner=owners.of(info, endpoint=provider.endpoint),
            created_at=info.created_at,
            expires=expiry(info),
            protected=info.name in protected,
            address=info.address,
            backend=providers.backend(),
            endpoint=provider.endpoint,
        )
        for info in sorted(machines, key=lambda info: info.name)
    ]
    return providers.backend(), provider.endpoint, rows
