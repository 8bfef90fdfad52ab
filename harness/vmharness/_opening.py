"""Opening a session for a block, without pytest."""

from __future__ import annotations

import logging
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from vmharness._ledger import FileLedgers
from vmharness._plugins import load_lifecycle
from vmharness._session import Session, describe
from vmharness._settings import Settings, environment, nearest_pyproject, pyproject, read_settings
from vmharness.errors import CleanupFailed

__all__ = ["open_session"]

_log = logging.getLogger("vmharness.session")


@contextmanager
def open_session(
    *, backend: str = "", settings: Settings | None = None, environ: Mapping[str, str] = os.environ
) -> Generator[Session]:
    """Open a session for a block; at the block's end all of its machines are gone.

    Args:
        backend: Name of the backend; "" = the configured one, or the first whose engine answers.
        settings: All settings; None = those of the environment and of pyproject.toml.
        environ: The environment.

    Raises:
        SettingsError: A setting is malformed.
        PluginError: A lifecycle plugin can't be loaded.
        LedgerError: The ledger can't be opened; nothing can be created then.
        CleanupFailed: At the end: machines are left. It doesn't replace an exception that leaves the
            block, but is logged.
    """
    if settings is None:
        settings = read_settings([environment(environ), pyproject(nearest_pyproject(Path.cwd()))])
    if backend:
        settings = replace(settings, backend=backend)
    session = Session(
        settings, ledgers=FileLedgers.usual(environ), plugins=load_lifecycle(settings.lifecycle)
    )
    try:
        session.open()
        yield session
    except BaseException:
        try:
            _close(session)
        except CleanupFailed as exc:
            _log.error("%s", describe(exc))
        raise
    _close(session)


def _close(session: Session) -> None:
    """Close the session; interrupted in that, it says what is left to the reaper or the next session."""
    try:
        session.close()
    except KeyboardInterrupt:
        for record in session.unfinished():
            _log.error(
                "left: %s of %s; delete it with: %s", record.name, record.backend, session.removal(record)
            )
        raise
