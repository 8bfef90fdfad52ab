"""Hooks of plugins that misbehave: what one raises or holds up is said by its name, and harms no other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

import pytest

from vmharness import Lifecycle, Record, Session, State
from vmharness import hooks as seen
from vmharness._hooking import Hooks
from vmharness.errors import CleanupFailed, PluginError
from vmharness_fake import FakeProvider, MemoryStore

MakeSession = Callable[..., Session]

# A test that fails waits so long, in seconds; one that passes doesn't.
BOUND_S = 30.0

OBSERVERS: Final = ("opened", "changed", "scope_ended", "closing", "closed")
GATES: Final = ("before_create", "named")


class Struck(BaseException):
    """No mere error: as what a time-out raises in a test."""


def doing(hook: str, act: Callable[[], object]) -> Lifecycle:
    """Make a plugin that does so in one of its hooks."""

    def call(self: Lifecycle, *args: Any) -> Any:
        return act()

    made: Lifecycle = type("Doing", (Lifecycle,), {hook: call})()
    return made


def raising(hook: str, error: BaseException) -> Lifecycle:
    def fail() -> None:
        raise error

    return doing(hook, fail)


class Seen(Lifecycle):
    """Writes down which of its hooks were called."""

    def __init__(self) -> None:
        self.hooks: list[str] = []

    def opened(self, session: seen.Session) -> None:
        self.hooks.append("opened")

    def changed(self, session: seen.Session, before: Record | None, now: Record) -> None:
        self.hooks.append("changed")

    def scope_ended(self, session: seen.Session, scope: str) -> None:
        self.hooks.append("scope_ended")

    def closing(self, session: seen.Session, interrupted: int) -> None:
        self.hooks.append("closing")

    def closed(self, session: seen.Session) -> None:
        self.hooks.append("closed")


def cycle(session: Session) -> None:
    """Let every hook of an observer be called; the session is open already."""
    with session.scope("s") as scope:
        session.create(scope=scope)
    session.close()


class TestObservers:
    """What one raises is reported, and the run goes on."""

    @pytest.mark.parametrize("hook", OBSERVERS)
    @pytest.mark.parametrize("place", [0, 1])
    def test_an_error_of_one_hinders_no_other_and_no_delete(
        self, make_session: MakeSession, engine: FakeProvider, hook: str, place: int
    ) -> None:
        other = Seen()
        plugins: list[Lifecycle] = [other]
        plugins.insert(place, raising(hook, ZeroDivisionError("oops")))
        session = make_session(*plugins)

        cycle(session)

        assert f"lifecycle plugin 'Doing' failed in its hook {hook}: ZeroDivisionError: oops" in (
            session.tally.reports
        )
        assert set(other.hooks) == set(OBSERVERS)
        assert not engine.list()

    @pytest.mark.parametrize("hook", ["scope_ended", "closing", "closed"])
    def test_what_is_no_mere_error_is_raised_when_all_is_done(
        self, make_session: MakeSession, engine: FakeProvider, hook: str
    ) -> None:
        """As pytest-timeout's: the hook that it ends belongs to a test, which must fail."""
        others = Seen(), Seen()
        session = make_session(others[0], raising(hook, Struck("time is up")), others[1])
        session.create(scope="s")

        with pytest.raises(Struck, match="time is up"):  # noqa: PT012 - whichever of them it is
            session.end_scope("s")
            session.close()
        session.close()

        assert all(hook in other.hooks for other in others)
        assert not engine.list()

    def test_the_session_s_end_deletes_before_it_is_raised(
        self, make_session: MakeSession, engine: FakeProvider
    ) -> None:
        session = make_session(raising("closing", SystemExit(3)))
        session.create()

        with pytest.raises(SystemExit):
            session.drain()

        assert not engine.list()
        session.close()

    def test_an_interrupt_is_raised_at_once(self, make_session: MakeSession, engine: FakeProvider) -> None:
        first = Seen()
        session = make_session(first, raising("closing", KeyboardInterrupt()))
        session.create()

        with pytest.raises(KeyboardInterrupt):
            session.drain()

        assert "closing" not in first.hooks  # it comes after, as they are called in reverse
        assert engine.list()  # for the reaper: whoever interrupts waits for nothing
        session.give_up()
        with pytest.raises(CleanupFailed):
            session.close()


class TestGates:
    """What one raises stops what it guards."""

    @pytest.mark.parametrize("error", [ZeroDivisionError("oops"), Struck(), KeyboardInterrupt()])
    def test_the_error_says_whose_it_is_and_the_engine_was_not_asked(
        self, make_session: MakeSession, store: MemoryStore, error: BaseException
    ) -> None:
        session = make_session(raising("before_create", error))

        with pytest.raises(type(error)) as raised:
            session.create()

        assert raised.value.__notes__ == ["raised in before_create of the lifecycle plugin 'Doing'"]
        assert not [event for event in store.events() if event.verb == "create"]
        assert [record.state for record in session.ledger.records.values()] == [State.GONE]
        session.close()

    @pytest.mark.parametrize("answer", [7, "label", {"team": 1}, {1: "team"}, [("team", "blue")]])
    def test_what_is_no_labels_is_refused_by_name(
        self, make_session: MakeSession, engine: FakeProvider, answer: object
    ) -> None:
        session = make_session(doing("before_create", lambda: answer))

        with pytest.raises(PluginError, match=r"before_create of the lifecycle plugin 'Doing' returned: "):
            session.create()

        assert not engine.list()
        session.close()

    def test_a_later_one_wins(self, make_session: MakeSession, engine: FakeProvider) -> None:
        def label(text: str) -> Mapping[str, str]:
            return {"team": text}

        session = make_session(
            doing("before_create", lambda: label("blue")), doing("before_create", lambda: label("red"))
        )

        session.create()

        assert [(info.labels or {})["team"] for info in engine.list()] == ["red"]
        session.close()

    def test_one_that_tracks_is_named_with_what_it_raised(self, make_session: MakeSession) -> None:
        session = make_session(raising("named", ZeroDivisionError("oops")))

        with pytest.raises(ZeroDivisionError) as raised:
            session.named("some-name")

        assert raised.value.__notes__ == ["raised in named of the lifecycle plugin 'Doing'"]
        session.close()


class TestHanging:
    """A hook that doesn't come back can't be left behind; it is told of."""

    @pytest.mark.parametrize("hook", [*OBSERVERS, *GATES])
    def test_the_plugin_the_hook_and_the_place_are_said(self, hook: str) -> None:
        said: list[str] = []
        alarmed: list[str] = []
        news = threading.Event()

        def alarm(text: str) -> None:
            alarmed.append(text)
            news.set()

        hanging = doing(hook, lambda: news.wait(BOUND_S))
        hooks = Hooks([("slow", hanging)], report=said.append, alarm=alarm, patience_s=0.001)

        def call(plugin: Lifecycle) -> bool:
            came_back: bool = getattr(plugin, hook)()
            return came_back

        if hook in OBSERVERS:
            hooks.observe(hook, call)
        else:
            assert list(hooks.pass_through(hook, call)) == [("slow", True)]
        hooks.end()

        assert said == alarmed
        assert said[0].startswith(f"lifecycle plugin 'slow' is in its hook {hook} for 0 s, at {__file__}:")
        assert "an interrupt ends it" in said[0]

    def test_a_session_says_it_at_once_and_in_its_summary(self, make_session: MakeSession) -> None:
        alarmed: list[str] = []
        news = threading.Event()

        def alarm(text: str) -> None:
            alarmed.append(text)
            news.set()

        session = make_session(
            doing("scope_ended", lambda: news.wait(BOUND_S)), alarm=alarm, patience_s=0.001
        )
        session.end_scope("s")

        assert "lifecycle plugin 'Doing' is in its hook scope_ended" in alarmed[0]
        assert alarmed[0] in session.tally.reports
        session.close()

    def test_hooks_that_no_plugin_has_start_no_thread(self) -> None:
        before = threading.active_count()
        hooks = Hooks([("idle", Lifecycle())], report=print, alarm=print)

        assert hooks.observe("closing", lambda plugin: pytest.fail("it was called")) is None
        assert not hooks.has("closing")
        assert threading.active_count() == before
