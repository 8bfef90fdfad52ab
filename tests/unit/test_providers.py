"""The backends of a session: each opened once, and only the engine that is meant."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from vmharness import Provider
from vmharness._providers import Providers, settling
from vmharness._threads import run_parallel
from vmharness.errors import EngineUnavailable, SettingsError, UnknownBackend
from vmharness.testing import FaultyProvider
from vmharness_fake import FakeProvider, Latencies, MemoryStore


def never() -> tuple[str, Provider]:
    raise AssertionError("an engine was looked for, though a backend is set")


class Engines:
    """Two backends, with a default engine each; counts what is opened."""

    def __init__(self) -> None:
        self.opened: list[tuple[str, str | None]] = []
        self.chosen = 0
        self.error: Exception | None = None

    def connect(self, backend: str, endpoint: str | None) -> Provider:
        self.opened.append((backend, endpoint))
        if self.error is not None:
            raise self.error
        return FakeProvider(MemoryStore(endpoint or f"memory:default of {backend}"))

    def choose(self) -> tuple[str, Provider]:
        self.chosen += 1
        if self.error is not None:
            raise self.error
        return "found", FakeProvider(MemoryStore("memory:default of found"))


@pytest.fixture
def engines() -> Engines:
    return Engines()


@pytest.fixture
def configured(engines: Engines) -> Providers:
    return Providers("fake", connect=engines.connect, choose=never)


@pytest.fixture
def unconfigured(engines: Engines) -> Providers:
    return Providers("", connect=engines.connect, choose=engines.choose)


# -- opening


def test_nothing_is_opened_before_it_is_asked_for(configured: Providers, engines: Engines) -> None:
    assert configured.backend() == "fake"
    assert configured.backend("docker") == "docker"
    assert engines.opened == []


def test_each_engine_is_opened_once(configured: Providers, engines: Engines) -> None:
    providers = [configured.get(), configured.get("fake"), configured.get("fake", None)]

    assert len(set(map(id, providers))) == 1
    assert engines.opened == [("fake", None)]


def test_the_default_engine_by_its_endpoint_is_the_same_one(configured: Providers, engines: Engines) -> None:
    assert configured.get("fake", configured.get().endpoint) is configured.get()
    assert engines.opened == [("fake", None)]


def test_an_endpoint_says_nothing_of_the_default(configured: Providers, engines: Engines) -> None:
    other = configured.get("fake", "memory:other")

    assert other.endpoint == "memory:other"
    assert configured.get().endpoint == "memory:default of fake"
    assert configured.get("fake", "memory:other") is other


def test_backends_are_kept_apart(configured: Providers) -> None:
    endpoint = configured.get().endpoint

    assert configured.get("docker").endpoint == "memory:default of docker"
    assert configured.get("docker", endpoint) is not configured.get("fake", endpoint)


def test_what_could_not_be_opened_is_tried_again(configured: Providers, engines: Engines) -> None:
    engines.error = UnknownBackend("no")
    with pytest.raises(UnknownBackend):
        configured.get()
    engines.error = None

    assert configured.get()


def test_threads_share_what_is_opened(configured: Providers, engines: Engines) -> None:
    together = threading.Barrier(4)

    def get(_: int) -> int:
        together.wait(10)
        return id(configured.get())

    assert len(set(run_parallel(get, range(4)))) == 1
    assert engines.opened == [("fake", None)]


# -- choosing


def test_without_a_configured_backend_the_first_that_answers_is_taken_for_good(
    unconfigured: Providers, engines: Engines
) -> None:
    assert unconfigured.backend() == "found"
    assert unconfigured.get().endpoint == "memory:default of found"
    assert unconfigured.get("found") is unconfigured.get()
    assert (engines.chosen, engines.opened) == (1, [])


def test_a_named_backend_needs_no_choice(unconfigured: Providers, engines: Engines) -> None:
    assert unconfigured.get("docker").endpoint == "memory:default of docker"
    assert engines.chosen == 0


def test_where_no_engine_answers_it_is_asked_again_next_time(
    unconfigured: Providers, engines: Engines
) -> None:
    engines.error = EngineUnavailable("none")
    for ask in (unconfigured.backend, unconfigured.get):
        with pytest.raises(EngineUnavailable):
            ask()
    engines.error = None

    assert unconfigured.backend() == "found"


def test_threads_share_the_choice(unconfigured: Providers, engines: Engines) -> None:
    together = threading.Barrier(4)

    def ask(_: int) -> str:
        together.wait(10)
        return unconfigured.backend()

    assert set(run_parallel(ask, range(4))) == {"found"}
    assert engines.chosen == 1


# -- using


def test_a_provider_is_used_in_a_block_by_name_and_by_endpoint(configured: Providers) -> None:
    by_endpoint = configured.get("fake", "memory:default of fake")
    own = configured.get()
    faulty = FaultyProvider(own, "delete", "fails")

    with configured.using(faulty, "fake"):
        assert configured.get() is faulty
        assert configured.get("fake", own.endpoint) is faulty
        assert configured.get("docker") is not faulty

    assert configured.get() is own
    assert configured.get("fake", own.endpoint) is by_endpoint


def fail_beside(providers: Providers, used: Provider) -> None:
    assert providers.get() is used
    raise ZeroDivisionError


def test_blocks_may_be_nested_and_left_by_an_exception(configured: Providers) -> None:
    own = configured.get()
    outer, inner = FaultyProvider(own, "delete", "fails"), FaultyProvider(own, "list", "fails")

    with configured.using(outer, "fake"):
        with pytest.raises(ZeroDivisionError), configured.using(inner, "fake"):
            fail_beside(configured, inner)
        assert configured.get() is outer
    assert configured.get() is own


def test_a_provider_of_another_engine_is_refused(configured: Providers) -> None:
    other = FakeProvider(MemoryStore("memory:other"))

    with (
        pytest.raises(SettingsError, match=r"'memory:other'.*'memory:default of fake'"),
        configured.using(other, "fake"),
    ):
        pytest.fail("the block was entered")
    assert configured.get() is not other


# -- settling


def settles() -> Provider:
    return FakeProvider(MemoryStore(), latencies=Latencies(settle_s=7.0))


class Silent(Provider):
    """A backend that doesn't say how long a create may still bring a machine."""

    @property
    def endpoint(self) -> str:
        return "x"

    create = list = delete = exists = None  # type: ignore[assignment]


@pytest.mark.parametrize(("provider", "seconds"), [(settles, 7.0), (Silent, 120.0)])
def test_the_settling_time_is_the_backends_or_two_minutes(
    provider: Callable[[], Provider], seconds: float
) -> None:
    assert settling(provider()) == seconds
