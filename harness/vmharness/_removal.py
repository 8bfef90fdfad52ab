"""What a person is told to do about a machine that is left; here nothing is deleted, and no engine asked."""

from __future__ import annotations

import shlex

from vmharness._model import Record
from vmharness._providers import Providers
from vmharness.errors import DeleteFailed, VMHarnessError
from vmharness.provider import ShowsDelete

__all__ = ["removal", "stuck"]


def removal(record: Record, providers: Providers) -> str:
    """Return the command that removes a machine, for a person to run."""
    try:
        provider = providers.get(record.backend, record.endpoint)
    except VMHarnessError:
        provider = None
    if provider is not None and isinstance(provider, ShowsDelete):
        return shlex.join(provider.delete_argv(record.name))
    return f"vmharness sweep --backend {shlex.quote(record.backend)}"


def stuck(record: Record, providers: Providers) -> DeleteFailed:
    """Return an error that says why a machine is left, and the command that removes it."""
    of = f" of {record.scope}" if record.scope else ""
    return DeleteFailed(
        f"cannot delete machine {record.name!r}{of}: {record.error or 'the run was interrupted'}; "
        f"delete it with: {removal(record, providers)}",
        backend=record.backend,
        machine=record.name,
    )
