"""What type checkers make of the public interface; they read this file, and nothing runs it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager
from typing import assert_type

import pytest

from vmharness import (
    CommandResult,
    Kind,
    Lifecycle,
    Machine,
    MachineInfo,
    Provider,
    Record,
    Session,
    Spec,
    State,
    hooks,
    open_session,
)
from vmharness.errors import CleanupFailed, ProviderError
from vmharness.provider import Connect, RunsCommands, TakesLabels
from vmharness.pytest_plugin import VMFactory
from vmharness.testing import FaultyProvider, ProviderContract


def check_session() -> None:
    with open_session(backend="some") as session:
        assert_type(session, Session)
        assert_type(session.create(), Machine)
        assert_type(session.create(Spec(name="a"), scope="s", timeout=1.0), Machine)
        machine = session.create(image="ubuntu:24.04", cpus=2, memory=1 << 30, kind=Kind.VM)
        session.create(colour="red")  # type: ignore[call-arg]
        with session.scope("s") as scope:
            assert_type(scope, str)
    assert_type(machine.run(["true"]), CommandResult)
    assert_type(machine.run(["true"], timeout=1.0, input=b"", user="root", cwd="/").stdout, str)
    assert_type(machine.name, str)
    assert_type(machine.image, str)
    assert_type(machine.address, str)
    assert_type(machine.record, Record)
    machine.delete()


def check_what_plugins_see(session: Session) -> hooks.Session:
    """The session is what a lifecycle plugin is promised."""
    assert_type(session.unfinished(), Sequence[Record])
    record = session.track("name")
    assert_type(session.move(record, State.KEPT), Record)
    return session


class Refuses(Lifecycle):
    def before_create(self, session: hooks.Session, record: Record) -> None:
        assert_type(session.scope("s"), AbstractContextManager[str])
        assert_type(record.state, State)


def check_provider(provider: Provider) -> None:
    assert_type(provider.create(Spec(name="a"), timeout=1.0), MachineInfo)
    assert_type(provider.list(), Sequence[MachineInfo])
    assert_type(provider.exists("a"), bool)
    if isinstance(provider, TakesLabels):
        assert_type(provider.label_length, int)
    if isinstance(provider, RunsCommands):
        assert_type(provider.run("a", ["true"], timeout=1.0), CommandResult)


def check_connect(connect: Connect) -> None:
    assert_type(connect(), Provider)
    assert_type(FaultyProvider(connect("endpoint"), "create", "late").wait_for_late(1.0), bool)
    FaultyProvider(connect(), "list", "early")  # type: ignore[arg-type]


class TestSome(ProviderContract):
    image = "tiny"

    @pytest.fixture
    def connect(self) -> Connect:
        raise NotImplementedError


def check_fixtures(
    vm: Machine, vm_factory: VMFactory, track_test_vm: Callable[[str], None], vm_backend: str
) -> None:
    assert_type(vm_factory(), Machine)
    assert_type(vm_factory("name", image="i", memory="2G", disk=1 << 30, kind="vm", timeout=5.0), Machine)
    vm_factory(colour="red")  # type: ignore[call-arg]
    track_test_vm(vm_backend)
    assert_type(vm.run(["true"]).status, int)


@pytest.fixture(scope="module")
def server(vm_session: Session) -> Generator[Machine]:
    with vm_session.scope("server") as scope:
        yield vm_session.create(scope=scope)


def check_errors(error: ProviderError) -> None:
    assert_type(error.backend, str)
    assert_type(error.machine, str)
    assert_type(error.retryable, bool)
    try:
        raise error
    except* ProviderError as group:
        assert_type(group.exceptions[0], ProviderError | ExceptionGroup[ProviderError])
    assert_type(CleanupFailed("left", [error]).derive([error]), CleanupFailed)
