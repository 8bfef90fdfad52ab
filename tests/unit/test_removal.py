"""What a person is told to do about a machine that is left."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace

from vmharness import Record, State
from vmharness._providers import Providers
from vmharness._removal import removal, stuck
from vmharness.errors import UnknownBackend
from vmharness.provider import Provider, ShowsDelete
from vmharness_fake import FakeProvider, MemoryStore

RECORD = Record(
    id="r1",
    name="web",
    backend="fake",
    endpoint="memory:1",
    token="",
    deadline=200.0,
    scope="",
    state=State.STUCK,
    wanted_at=100.0,
    at=100.0,
)


class Showing(FakeProvider, ShowsDelete):
    """Knows the engine's own command that deletes a machine."""

    def delete_argv(self, name: str) -> Sequence[str]:
        return ["fake", "rm", "--dir", "/a b", "--", name]


def providers(provider: Provider | None = None) -> Providers:
    def connect(backend: str, endpoint: str | None) -> Provider:
        if backend != "fake":
            raise UnknownBackend(f"unknown backend {backend!r}")
        return provider or FakeProvider(MemoryStore())

    return Providers("fake", connect=connect)


def test_it_is_the_engines_own_where_the_backend_shows_one() -> None:
    command = removal(RECORD, providers(Showing(MemoryStore())))

    assert shlex.split(command) == ["fake", "rm", "--dir", "/a b", "--", "web"]


def test_else_it_is_ours() -> None:
    assert removal(RECORD, providers()) == "vmharness sweep --backend fake"
    assert shlex.split(removal(replace(RECORD, backend="a b"), providers())) == [
        *("vmharness", "sweep", "--backend", "a b")
    ]


def test_an_error_names_machine_scope_reason_and_remedy() -> None:
    record = replace(RECORD, scope="t", error="busy")

    error = stuck(record, providers())

    assert str(error) == (
        "cannot delete machine 'web' of t: busy; delete it with: vmharness sweep --backend fake"
    )
    assert (error.backend, error.machine) == ("fake", "web")
    assert "the run was interrupted" in str(stuck(replace(record, error="", scope=""), providers()))
