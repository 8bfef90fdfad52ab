"""Every error that vmharness raises, as one tree; it knows nothing but Python.

::

    VMHarnessError
    ├── SettingsError (also a ValueError)    what was configured or asked for is malformed
    │   └── UnknownBackend                   no such backend is installed
    ├── PluginError                          a plugin failed to load, or is not what it claims
    ├── ProviderError                        .backend .machine .retryable
    │   ├── EngineUnavailable                not installed, not running, not answering
    │   ├── NotSupported                     the backend lacks the capability
    │   ├── NameTaken                        a machine of that name is there, and is not ours
    │   ├── CreateFailed                     surely no machine was made
    │   ├── CreateUnsettled                  nobody knows whether a machine was or will be made
    │   │   └── CreateTimeout (also a TimeoutError)
    │   ├── Busy                             the engine refuses for now
    │   └── DeleteFailed                     the machine may still be there
    ├── LedgerError                          the ledger can't be written, read or locked
    ├── NotOwned                             nothing proves that the machine is ours to delete
    └── CleanupFailed (an ExceptionGroup)    every machine that is left, with its reason

A message says what could not be done, to what, what the engine answered, and what to do about it.
All errors pickle, so that they cross process borders (pytest-xdist) with their attributes.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "Busy",
    "CleanupFailed",
    "CreateFailed",
    "CreateTimeout",
    "CreateUnsettled",
    "DeleteFailed",
    "EngineUnavailable",
    "LedgerError",
    "NameTaken",
    "NotOwned",
    "NotSupported",
    "PluginError",
    "ProviderError",
    "SettingsError",
    "UnknownBackend",
    "VMHarnessError",
]


class VMHarnessError(Exception):
    """Base of all errors that vmharness raises on purpose."""


class SettingsError(VMHarnessError, ValueError):
    """What was configured or asked for is malformed; nothing was done."""


class UnknownBackend(SettingsError):
    """No installed backend has that name; the message lists those that are."""


class PluginError(VMHarnessError):
    """A plugin failed to load, or is not what it claims to be; the cause is chained."""


class ProviderError(VMHarnessError):
    """A provider could not do what it was asked.

    Args:
        message: What could not be done, to what, what the engine answered, what to do.
        backend: Name of the backend, or "".
        machine: Name of the machine, or "".
        retryable: Whether the same call may succeed later without anybody doing anything.
    """

    def __init__(
        self, message: str = "", *, backend: str = "", machine: str = "", retryable: bool = False
    ) -> None:
        super().__init__(message)
        self.backend = backend
        self.machine = machine
        self.retryable = retryable


class EngineUnavailable(ProviderError):
    """The engine is not installed, not running or not answering; nothing is known of its machines."""


class NotSupported(ProviderError):
    """The backend lacks the capability; nothing was done."""


class NameTaken(ProviderError):
    """A machine of that name was there before the call; it is a stranger's and was left alone."""


class CreateFailed(ProviderError):
    """The create failed, and surely no machine of it is or will be there."""


class CreateUnsettled(ProviderError):
    """The create ended, and nobody knows whether a machine was or will be made."""


class CreateTimeout(CreateUnsettled, TimeoutError):
    """The create's deadline passed; the machine may still appear."""


class Busy(ProviderError):
    """The engine refuses for now, as while the machine is being created; to be tried again."""

    def __init__(
        self, message: str = "", *, backend: str = "", machine: str = "", retryable: bool = True
    ) -> None:
        super().__init__(message, backend=backend, machine=machine, retryable=retryable)


class DeleteFailed(ProviderError):
    """The delete failed; the machine may still be there."""


class LedgerError(VMHarnessError):
    """The ledger can't be written, read or locked; what it was to record was not done."""


class NotOwned(VMHarnessError):
    """Nothing proves that the machine is ours; it was left alone."""


class CleanupFailed(ExceptionGroup[Exception], VMHarnessError):
    """Machines are left; one inner error each, with its reason."""

    # ExceptionGroup.__new__ fixes the signature; derive keeps our class through split() and except*.
    def derive(self, excs: Sequence[Exception], /) -> CleanupFailed:  # type: ignore[override]
        """Make a group of the same kind from some of the errors."""
        return CleanupFailed(self.message, excs)
