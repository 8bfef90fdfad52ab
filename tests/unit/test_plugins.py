"""From names to plugins: only what is asked for is loaded, and errors say which plugin and why."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from stevedore._cache import _c, _get_cache_dir  # pyright: ignore[reportPrivateUsage]
from stevedore.extension import ExtensionManager

from vmharness._plugins import (
    BACKENDS,
    INTERFACES,
    LIFECYCLE,
    cache_folder,
    choose_provider,
    installed,
    load_lifecycle,
    open_provider,
    stale,
)
from vmharness._settings import DEFAULT_LIFECYCLE
from vmharness.errors import EngineUnavailable, PluginError, SettingsError, UnknownBackend

Install = Callable[..., None]

# What the plugins of these tests are made of.
BACKEND = """
from vmharness.errors import EngineUnavailable, SettingsError
from vmharness_fake import FakeProvider, MemoryStore

class Ranked(FakeProvider):
    auto_rank = 0
    answers = True
    asked = 0

    def list(self):
        type(self).asked += 1
        if not self.answers:
            raise EngineUnavailable(f"{type(self).__name__} is not running")
        return super().list()

class First(Ranked):
    auto_rank = 1

class Second(Ranked):
    auto_rank = 2

class Off(Ranked):
    auto_rank = 0
    answers = False

class OffToo(Off):
    auto_rank = 9

class Unranked(FakeProvider):
    pass

class Empty(FakeProvider):
    def __len__(self):
        return 0

class HalfAProvider:
    endpoint = "x"
    def create(self, spec, *, timeout): ...
    def list(self): ...

def opener(kind):
    def connect(endpoint=None):
        return kind(MemoryStore(endpoint or ""))
    return connect

first, second, off, off_too, unranked, empty = map(opener, (First, Second, Off, OffToo, Unranked, Empty))
stranger = opener(lambda store: HalfAProvider())

def absent(endpoint=None):
    raise EngineUnavailable("no client; pip install it")

def misconfigured(endpoint=None):
    raise SettingsError("VMHARNESS_X is no number")

def defective(endpoint=None):
    raise ZeroDivisionError("oops")

def leaving(endpoint=None):
    raise SystemExit("no")

class Hidden(FakeProvider):
    @property
    def endpoint(self):
        raise OSError("no socket")

class Nowhere(FakeProvider):
    endpoint = None

hidden, nowhere = map(opener, (Hidden, Nowhere))
number = 7
"""

HOOKS = """
from vmharness import Lifecycle

class One(Lifecycle):
    pass

class Two(Lifecycle):
    pass

class Stranger:
    pass

class Clumsy(Lifecycle):
    def __init__(self):
        raise ZeroDivisionError("oops")
"""


def forget() -> None:
    """Make stevedore forget what it read for this process."""
    ExtensionManager.ENTRY_POINT_CACHE.clear()


def forget_all() -> None:
    """Make it forget what it read from the disk as well."""
    forget()
    _c._internal.clear()  # pyright: ignore[reportPrivateUsage]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install distributions, in a Python where no others are; they go after the test."""
    site = tmp_path / "site"
    site.mkdir()
    modules: set[str] = set()
    others = [entry for entry in sys.path if not list(Path(entry or ".").glob("*.dist-info"))]
    monkeypatch.setattr(sys, "path", [str(site), *others])
    # What is installed here is nobody else's business, nor that of runs to come.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("stevedore._cache._c._dir", str(tmp_path / "cache" / "python-entrypoints"))
    forget()

    def install(name: str, code: str = "", *, backends: str = "", lifecycle: str = "") -> None:
        """Install a distribution of one module of that name; its entry points are `name=attribute …`."""
        (site / f"{name}.py").write_text(code)
        modules.update({name} - set(sys.modules))
        info = site / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines: list[str] = []
        for namespace, points in ((BACKENDS, backends), (LIFECYCLE, lifecycle)):
            pairs = (point.partition("=") for point in points.split())
            lines += [f"[{namespace}]", *(f"{point} = {name}:{target}" for point, _, target in pairs)]
        (info / "entry_points.txt").write_text("\n".join(lines))
        importlib.invalidate_caches()

    yield install
    forget()
    for name in modules:
        sys.modules.pop(name, None)


def module(name: str) -> ModuleType:
    return sys.modules[name]


class TestInstalled:
    """What is there, without loading it."""

    def test_entry_points_are_sorted_by_name_and_nothing_is_loaded(self, install: Install) -> None:
        install("plug", "raise ZeroDivisionError", backends="b=x c=x a=x", lifecycle="d=x")

        assert [point.name for point in installed(BACKENDS)] == ["a", "b", "c"]
        assert [point.name for point in installed(LIFECYCLE)] == ["d"]
        assert "plug" not in sys.modules

    def test_nothing_installed_is_nothing(self, install: Install) -> None:
        assert not installed(BACKENDS)

    def test_a_plugin_installed_a_moment_ago_is_there(self, install: Install) -> None:
        assert not installed(BACKENDS)
        install("plug", BACKEND, backends="a=first")

        assert [point.name for point in installed(BACKENDS)] == ["a"]


class TestOpenProvider:
    """A backend by its name."""

    def test_the_endpoint_reaches_the_backend(self, install: Install) -> None:
        install("plug", BACKEND, backends="mine=first")

        assert open_provider("mine", "memory:here").endpoint == "memory:here"
        assert open_provider("mine").endpoint.startswith("memory:")

    def test_only_what_is_asked_for_is_loaded(self, install: Install) -> None:
        install("plug", BACKEND, backends="mine=first")
        install("other", "raise ZeroDivisionError", backends="broken=x", lifecycle="broken=x")

        open_provider("mine")

        assert "other" not in sys.modules

    def test_an_unknown_name_is_told_with_those_that_are_installed(self, install: Install) -> None:
        install("plug", BACKEND, backends="orbital=first incus=second")

        with pytest.raises(UnknownBackend) as raised:
            open_provider("orbitl")

        assert str(raised.value) == (
            "unknown backend 'orbitl'; installed: incus, orbital; did you mean 'orbital'?"
        )
        assert isinstance(raised.value, SettingsError)

    def test_an_unknown_name_that_is_like_none_gets_no_hint(self, install: Install) -> None:
        install("plug", BACKEND, backends="incus=first")

        with pytest.raises(UnknownBackend, match=r"^unknown backend 'zzz'; installed: incus$"):
            open_provider("zzz")

    def test_where_none_is_installed_that_is_said(self, install: Install) -> None:
        with pytest.raises(UnknownBackend, match=r"^unknown backend 'mine'; installed: none$"):
            open_provider("mine")

    @pytest.mark.parametrize(
        ("code", "cause"),
        [
            ("import no_such_module_anywhere", ModuleNotFoundError),
            ("raise ZeroDivisionError('oops')", ZeroDivisionError),
            ("def connect(:", SyntaxError),
            ("", AttributeError),
            ("import sys; sys.exit('no')", SystemExit),
            ("assert False, 'oops'", AssertionError),
        ],
    )
    def test_a_plugin_that_cannot_be_loaded_is_named_with_the_cause(
        self, install: Install, code: str, cause: type[Exception]
    ) -> None:
        install("plug", code, backends="mine=connect")
        install("other", BACKEND, backends="good=first")

        with pytest.raises(
            PluginError,
            match=r"cannot load plugin 'mine' \(plug:connect\): .*; upgrade or uninstall plug 1.0$",
        ) as raised:
            open_provider("mine")

        assert isinstance(raised.value.__cause__, cause)
        assert cause.__name__ in str(raised.value)
        assert open_provider("good")

    def test_what_a_backend_says_of_its_engine_is_not_wrapped(self, install: Install) -> None:
        install("plug", BACKEND, backends="mine=absent")

        with pytest.raises(EngineUnavailable, match=r"^no client; pip install it$"):
            open_provider("mine")

    @pytest.mark.parametrize(
        ("target", "cause"),
        [
            ("defective", ZeroDivisionError),
            ("number", TypeError),
            ("leaving", SystemExit),
            ("hidden", OSError),
        ],
    )
    def test_a_backend_that_cannot_be_opened_is_named_with_the_cause(
        self, install: Install, target: str, cause: type[Exception]
    ) -> None:
        install("plug", BACKEND, backends=f"mine={target}")

        with pytest.raises(PluginError, match=f"cannot open backend 'mine': {cause.__name__}") as raised:
            open_provider("mine")

        assert isinstance(raised.value.__cause__, cause)

    def test_what_is_no_provider_is_refused_with_what_it_lacks(self, install: Install) -> None:
        install("plug", BACKEND, backends="mine=stranger")

        with pytest.raises(PluginError, match=r"'mine'.*HalfAProvider.*create, list, delete, exists"):
            open_provider("mine")

    def test_an_endpoint_that_is_no_text_is_refused(self, install: Install) -> None:
        install("plug", BACKEND, backends="mine=nowhere")

        with pytest.raises(
            PluginError, match=r"cannot use backend 'mine': its endpoint is None, and no text"
        ):
            open_provider("mine")

    def test_an_import_from_vmharness_that_fails_hints_at_versions(self, install: Install) -> None:
        install("plug", "from vmharness.provider import Teleports", backends="mine=connect")
        install("other", "from json import Teleports", backends="theirs=connect")

        with pytest.raises(PluginError, match=r"another version than this vmharness: upgrade whichever"):
            open_provider("mine")
        with pytest.raises(PluginError, match=r"^(?!.*another version)"):
            open_provider("theirs")

    def test_a_provider_that_is_false_is_a_provider(self, install: Install) -> None:
        install("plug", BACKEND, backends="mine=empty")

        assert not open_provider("mine")
        assert open_provider("mine").list() == []


class TestNamesakes:
    """Two plugins of one name: nobody can know which is meant."""

    @pytest.mark.parametrize("between", ["", "m=second"])
    def test_neither_is_taken_and_both_are_named(self, install: Install, between: str) -> None:
        install("plug_a", BACKEND, backends=f"mine=first {between}")
        install("plug_b", BACKEND, backends="mine=second")

        with pytest.raises(PluginError) as raised:
            open_provider("mine")

        assert str(raised.value) == (
            "cannot choose backend 'mine': plug_a:first (of plug_a) and plug_b:second (of plug_b) have that "
            "name; uninstall all but one"
        )
        assert not {"plug_a", "plug_b"} & set(sys.modules)

    def test_others_of_their_distributions_can_be_used(self, install: Install) -> None:
        install("plug_a", BACKEND, backends="mine=first good=second")
        install("plug_b", BACKEND, backends="mine=second")

        assert type(open_provider("good")).__name__ == "Second"

    def test_one_that_is_installed_twice_is_one(self, install: Install, tmp_path: Path) -> None:
        install("plug", BACKEND, backends="mine=first")
        twin = tmp_path / "site" / "plug_again-1.0.dist-info"
        twin.mkdir()
        (twin / "METADATA").write_text("Metadata-Version: 2.1\nName: plug-again\nVersion: 1.0\n")
        (twin / "entry_points.txt").write_text(f"[{BACKENDS}]\nmine = plug:first\n")

        assert open_provider("mine")

    def test_a_lifecycle_plugin_and_a_backend_may_share_one(self, install: Install) -> None:
        install("plug", BACKEND + HOOKS, backends="mine=first", lifecycle="mine=One")

        assert open_provider("mine")
        assert load_lifecycle(["mine"])


class TestInterface:
    """A plugin may say which interface it is built for; what isn't said is the first."""

    @pytest.mark.parametrize("stated", ["", "VMHARNESS_INTERFACE = 1"])
    def test_the_one_that_is_spoken_is_taken(self, install: Install, stated: str) -> None:
        install("plug", BACKEND + HOOKS + stated, backends="mine=first", lifecycle="a=One")

        assert open_provider("mine")
        assert load_lifecycle(["a"])

    @pytest.mark.parametrize(("stated", "older"), [(INTERFACES.stop, "vmharness"), (0, "plug")])
    def test_another_is_refused_with_what_to_upgrade(
        self, install: Install, tmp_path: Path, stated: int, older: str
    ) -> None:
        code = f"{BACKEND}{HOOKS}VMHARNESS_INTERFACE = {stated}"
        install("plug", code, backends="mine=first", lifecycle="a=One")
        install("vmharness")
        (tmp_path / "site" / "vmharness.py").unlink()  # it is there; only what pip knows of it isn't
        said = f"of plug 1.0: it is built for interface {stated}, and vmharness 1.0 speaks 1; upgrade {older}"

        with pytest.raises(PluginError) as raised:
            open_provider("mine")
        assert str(raised.value) == f"cannot use backend 'mine' {said}"
        with pytest.raises(PluginError) as raised:
            load_lifecycle(["a"])
        assert str(raised.value) == f"cannot use lifecycle plugin 'a' {said}"

    @pytest.mark.parametrize("stated", ["'1'", "True", "None", "1.0"])
    def test_what_is_no_number_is_refused(self, install: Install, stated: str) -> None:
        install("plug", f"{BACKEND}VMHARNESS_INTERFACE = {stated}", backends="mine=first")

        with pytest.raises(PluginError, match=r"its VMHARNESS_INTERFACE is .*, and no number"):
            open_provider("mine")


class TestStaleCache:
    """stevedore remembers entry points: what was just installed may be missing there, or be another one."""

    @pytest.fixture(autouse=True)
    def late(self, install: Install) -> None:
        install("plug", BACKEND + HOOKS, backends="mine=first moved=first", lifecycle="mine=One")
        open_provider("mine")
        load_lifecycle(["mine"])
        install("late", BACKEND + HOOKS, backends="new=first", lifecycle="new=One")

    def test_the_cache_is_blamed_and_where_it_is_said(self) -> None:
        with pytest.raises(UnknownBackend, match=r"'new' through stevedore.*stale; delete .*entrypoints"):
            open_provider("new")
        with pytest.raises(PluginError, match=r"lifecycle plugin 'new' through stevedore.*stale"):
            load_lifecycle(["new"])

    @pytest.mark.parametrize(
        ("lines", "there"),
        [("moved = late:second", "late:second"), ("", "none of that name")],
        ids=["moved", "uninstalled"],
    )
    @pytest.mark.parametrize("imported", [True, False])
    def test_what_is_remembered_wrongly_is_not_taken(
        self, tmp_path: Path, lines: str, there: str, *, imported: bool
    ) -> None:
        (tmp_path / "site" / "plug-1.0.dist-info" / "entry_points.txt").write_text(f"[{BACKENDS}]\n{lines}\n")
        if not imported:
            (tmp_path / "site" / "plug.py").unlink()
            del sys.modules["plug"]
        importlib.invalidate_caches()

        with pytest.raises(PluginError) as raised:
            open_provider("moved")

        assert str(raised.value) == (
            f"cannot load plugin 'moved': stevedore takes it for plug:first, and installed is {there}; "
            f"stevedore's cache of entry points is stale; delete the folder {cache_folder()}"
        )

    def test_what_differs_is_named(self) -> None:
        assert stale(BACKENDS) == ["new"]
        assert stale(LIFECYCLE) == ["new"]
        forget_all()
        assert not stale(BACKENDS)

    def test_the_folder_is_the_one_that_stevedore_uses(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert str(cache_folder()) == _get_cache_dir()
        monkeypatch.delenv("XDG_CACHE_HOME")
        assert str(cache_folder()) == _get_cache_dir()
        monkeypatch.setenv("XDG_CACHE_HOME", "")
        assert str(cache_folder()) == _get_cache_dir()

    def test_what_is_not_installed_either_is_just_unknown(self) -> None:
        with pytest.raises(UnknownBackend, match=r"^unknown backend 'zzz'"):
            open_provider("zzz")


class TestChooseProvider:
    """No backend is set: the first whose engine answers."""

    def test_the_lowest_rank_that_answers_is_taken_and_no_other_is_asked(self, install: Install) -> None:
        install("plug", BACKEND, backends="a=second b=off z=first")

        name, provider = choose_provider()

        assert (name, type(provider).__name__) == ("z", "First")
        assert (module("plug").Off.asked, module("plug").Second.asked) == (1, 0)

    def test_of_one_rank_the_first_name_is_taken(self, install: Install) -> None:
        install("plug", BACKEND, backends="b=first a=first c=first")

        assert choose_provider()[0] == "a"

    def test_a_backend_without_a_rank_is_never_taken(self, install: Install) -> None:
        install("plug", BACKEND, backends="a=unranked")

        with pytest.raises(EngineUnavailable, match="no engine answers, and no backend is set"):
            choose_provider()

    def test_backends_that_cannot_be_opened_hinder_nobody(self, install: Install) -> None:
        install(
            "plug", BACKEND, backends="a=absent b=defective c=stranger d=misconfigured z=first twice=first"
        )
        install("broken", "raise ZeroDivisionError", backends="e=x twice=x")

        assert choose_provider()[0] == "z"

    def test_where_none_answers_each_says_why(self, install: Install) -> None:
        install("plug", BACKEND, backends="a=off_too b=off c=absent d=unranked")
        install("broken", "raise ZeroDivisionError('oops')", backends="e=x")

        with pytest.raises(EngineUnavailable) as raised:
            choose_provider()

        assert str(raised.value).splitlines() == [
            "no engine answers, and no backend is set:",
            "  c: no client; pip install it",
            "  e: cannot load plugin 'e' (broken:x): ZeroDivisionError: oops; "
            "upgrade or uninstall broken 1.0",
            "  b: Off is not running",
            "  a: OffToo is not running",
        ]


class TestLoadLifecycle:
    """Lifecycle plugins by their names."""

    def test_the_order_of_the_names_is_kept(self, install: Install) -> None:
        install("plug", HOOKS, lifecycle="a=One b=Two")

        assert [(name, type(p).__name__) for name, p in load_lifecycle(["b", "a"])] == [
            ("b", "Two"),
            ("a", "One"),
        ]

    def test_each_session_gets_objects_of_its_own(self, install: Install) -> None:
        install("plug", HOOKS, lifecycle="a=One")

        assert load_lifecycle(["a"])[0][1] is not load_lifecycle(["a"])[0][1]

    def test_no_names_are_no_plugins(self, install: Install) -> None:
        install("broken", "raise ZeroDivisionError", lifecycle="a=x")

        assert not load_lifecycle([])

    def test_an_unknown_one_stops_all(self, install: Install) -> None:
        install("plug", HOOKS, lifecycle="sweep=One teardown=Two")

        with pytest.raises(PluginError, match=r"^unknown lifecycle plugin 'swep'; .*did you mean 'sweep'\?$"):
            load_lifecycle(["teardown", "swep"])

    @pytest.mark.parametrize(
        ("target", "said"),
        [
            ("Nothing", "cannot load plugin 'a' .*AttributeError"),
            ("Clumsy", "cannot make lifecycle plugin 'a': ZeroDivisionError: oops"),
            ("Stranger", "lifecycle plugin 'a': a Stranger is no vmharness.Lifecycle"),
        ],
    )
    def test_a_broken_one_is_named_with_the_reason(self, install: Install, target: str, said: str) -> None:
        install("plug", HOOKS, lifecycle=f"a={target} b=One")

        with pytest.raises(PluginError, match=said):
            load_lifecycle(["b", "a"])
        assert load_lifecycle(["b"])

    def test_namesakes_are_named(self, install: Install) -> None:
        install("plug_a", HOOKS, lifecycle="a=One")
        install("plug_b", HOOKS, lifecycle="a=Two")

        with pytest.raises(
            PluginError, match=r"cannot choose lifecycle plugin 'a': plug_a:One .* plug_b:Two"
        ):
            load_lifecycle(["a"])


def test_our_own_plugins_are_installed_as_others_are() -> None:
    forget()

    assert [name for name, _ in load_lifecycle(DEFAULT_LIFECYCLE)] == list(DEFAULT_LIFECYCLE)
    assert {"docker", "fake", "incus", "lxd", "orbstack"} <= {point.name for point in installed(BACKENDS)}
    assert open_provider("fake").endpoint
