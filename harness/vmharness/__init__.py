"""Test machines from any engine, that go away whatever happens.

Everything here is loaded when it is first used, so that a test run without machines pays nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vmharness._machine import Machine
    from vmharness._model import CommandResult, Kind, MachineInfo, MachineState, Record, Spec, State
    from vmharness._opening import open_session
    from vmharness._session import Session
    from vmharness._settings import Settings
    from vmharness.errors import VMHarnessError
    from vmharness.hooks import Lifecycle
    from vmharness.provider import Provider

__all__ = [
    "CommandResult",
    "Kind",
    "Lifecycle",
    "Machine",
    "MachineInfo",
    "MachineState",
    "Provider",
    "Record",
    "Session",
    "Settings",
    "Spec",
    "State",
    "VMHarnessError",
    "open_session",
]

_HOMES = {
    "CommandResult": "_model",
    "Kind": "_model",
    "Lifecycle": "hooks",
    "Machine": "_machine",
    "MachineInfo": "_model",
    "MachineState": "_model",
    "Provider": "provider",
    "Record": "_model",
    "Session": "_session",
    "Settings": "_settings",
    "Spec": "_model",
    "State": "_model",
    "VMHarnessError": "errors",
    "open_session": "_opening",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'vmharness' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(f"vmharness.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
