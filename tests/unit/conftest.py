"""Sessions on the fake engine, in memory and on a fake clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from vmharness import Lifecycle, Provider, Session, Settings
from vmharness._ledger import FileLedgers
from vmharness._meeting import Meeting
from vmharness._plugins import load_lifecycle
from vmharness._providers import Providers
from vmharness.testing import FakeClock
from vmharness_fake import FakeProvider, MemoryStore

PLUGINS = ("sweep", "tracking", "teardown")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def ledgers(tmp_path: Path) -> FileLedgers:
    return FileLedgers(tmp_path / "state", host="host", meeting=Meeting(tmp_path))


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def engine(store: MemoryStore, clock: FakeClock) -> FakeProvider:
    return FakeProvider(store, clock=clock.time, sleep=clock.sleep)


@pytest.fixture
def tasks() -> list[Callable[[], None]]:
    """What sessions wanted to be done in the background."""
    return []


@pytest.fixture
def make_session(
    ledgers: FileLedgers, engine: FakeProvider, clock: FakeClock, tasks: list[Callable[[], None]]
) -> Callable[..., Session]:
    def make(
        *plugins: Lifecycle,
        settings: Settings | None = None,
        providers: Sequence[Provider] = (engine,),
        connect: Callable[[str, str | None], Provider] | None = None,
        id: str = "",
        **more: Any,
    ) -> Session:
        by_endpoint = {provider.endpoint: provider for provider in providers}

        def find(backend: str, endpoint: str | None) -> Provider:
            assert backend == "fake"
            return by_endpoint[endpoint] if endpoint else providers[0]

        settings = settings or Settings(backend="fake")
        session = Session(
            settings,
            ledgers=ledgers,
            plugins=[(type(p).__name__, p) for p in plugins]
            or load_lifecycle(("sweep", "tracking", "teardown")),
            providers=Providers(settings.backend, connect=connect or find),
            clock=clock,
            id=id,
            start=lambda name, task: tasks.append(task),
            **more,
        )
        session.open()
        return session

    return make
