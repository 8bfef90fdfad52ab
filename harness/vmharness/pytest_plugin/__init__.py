"""The pytest plugin: options, marker, fixtures and what watches the run. It asks no engine by itself.

A run that uses no machine imports no more than this package, the settings and the state folder's path.
"""

from __future__ import annotations

import os
from typing import Literal

import pytest

from vmharness._places import state_folder
from vmharness._settings import (
    SETTINGS,
    Source,
    environment,
    nearest_pyproject,
    pyproject,
    read_settings,
)
from vmharness.errors import SettingsError
from vmharness.pytest_plugin._fixtures import (
    VMFactory,
    shared_vm,
    track_test_vm,
    vm,
    vm_backend,
    vm_factory,
    vm_provider,
    vm_session,
)
from vmharness.pytest_plugin._run import RUN, Run

__all__ = [
    "VMFactory",
    "shared_vm",
    "track_test_vm",
    "vm",
    "vm_backend",
    "vm_factory",
    "vm_provider",
    "vm_session",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add an option and an ini key for each setting."""
    group = parser.getgroup("vmharness", "test machines (vmharness)")
    for setting in SETTINGS:
        if setting.option:
            group.addoption(
                f"--vm-{setting.name.replace('_', '-')}",
                dest=f"vm_{setting.name}",
                action="append" if setting.many else "store",
                metavar=setting.metavar,
                help=setting.help,
            )
        kind: Literal["linelist", "string"] = "linelist" if setting.many else "string"
        parser.addini(f"vm_{setting.name}", setting.help, type=kind)


def pytest_configure(config: pytest.Config) -> None:
    """Read the settings, and register what watches the run."""
    pytest.register_assert_rewrite("vmharness.testing")
    config.addinivalue_line(
        "markers",
        "vm(image=…, cpus=…, memory=…, disk=…, arch=…, user=…, user_data=…, kind=…, timeout=…): "
        "what the fixture vm shall be",
    )
    option = Source(
        lambda name: f"--vm-{name.replace('_', '-')}", lambda name: config.getoption(f"vm_{name}", None)
    )
    ini = Source(lambda name: f"ini key vm_{name}", lambda name: config.getini(f"vm_{name}") or None)
    try:
        file = pyproject(nearest_pyproject(config.rootpath))
        settings = read_settings([option, environment(os.environ), ini, file])
    except SettingsError as exc:
        raise pytest.UsageError(str(exc)) from exc
    run = Run(config, settings, state_folder(os.environ))
    config.stash[RUN] = run
    config.pluginmanager.register(run, "vmharness-run")
    if settings.record.takes_commands:
        from vmharness.pytest_plugin._scopes import Scopes

        config.pluginmanager.register(Scopes(run), "vmharness-scopes")
