"""Names: what is made fits every engine, and what is refused is refused."""

from __future__ import annotations

import re

import pytest

from vmharness._naming import (
    check_name,
    check_prefix,
    check_sweep_prefix,
    check_tracked,
    is_made_up,
    make_name,
    mark,
    new_token,
)
from vmharness.errors import SettingsError

HOSTILE = [
    "",
    " ",
    "a b",
    "-rf",
    "--help",
    "A",
    "Ab",
    "ä",
    "a/b",
    "../x",
    "a_b",
    "a.b",
    "a-",
    "1a",
    "a\n",
    "a:b",
    "x" * 64,
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="cannot name a machine"):
        check_name(name)


@pytest.mark.parametrize("name", ["a", "web", "web-1", "x" * 63])
def test_good_names_pass(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "-x", ".x", "a b", "a/b", "ä", "a\n", "a:b", "x" * 256])
def test_names_that_could_be_options_or_paths_are_not_tracked(name: str) -> None:
    with pytest.raises(SettingsError, match="cannot track"):
        check_tracked(name)


def test_names_of_others_may_have_what_ours_may_not() -> None:
    assert check_tracked("My_App.1") == "My_App.1"


def test_the_empty_sweep_prefix_is_refused() -> None:
    with pytest.raises(SettingsError, match="every machine"):
        check_sweep_prefix("")


@pytest.mark.parametrize("prefix", ["", "1", "-a", "A", "a_b", "x" * 17])
def test_bad_prefixes_of_ours_are_refused(prefix: str) -> None:
    with pytest.raises(SettingsError):
        check_prefix(prefix)


@pytest.mark.parametrize(
    "test_id",
    ["", "tests/a.py::test_x", "tests/a.py::TestÜ::test_" + "x" * 200, "t.py::test_a[--help /etc]", "::---"],
)
@pytest.mark.parametrize("prefix", ["vmh", "p", "x" * 16, "a-"])
def test_made_names_fit_every_engine(prefix: str, test_id: str) -> None:
    name = make_name(prefix, test_id)

    assert re.fullmatch(r"[a-z][a-z0-9-]{0,38}[a-z0-9]", name)
    assert "--" not in name
    assert check_name(name) == name
    assert name.startswith(prefix.strip("-"))


def test_made_names_keep_all_random_characters_and_cut_the_slug() -> None:
    name = make_name("x" * 16, "t.py::test_" + "y" * 99, choose=lambda _: "z")

    assert name == "x" * 16 + "-" + "y" * 12 + "-" + "z" * 8 + mark(name[:-2])


def test_made_names_tell_the_test() -> None:
    name = make_name("vmh", "tests/a.py::TestA::test_boots", choose=lambda _: "q")

    assert name[:-2] == "vmh-boots-qqqqqqqq"


@pytest.mark.parametrize("test_id", ["", "tests/a.py::test_x", "t.py::test_a[--help /etc]"])
def test_made_names_can_be_told_from_those_that_others_choose(test_id: str) -> None:
    name = make_name("vmh", test_id)
    others = [f"vmh-{chosen:010}" for chosen in range(22_222, 77_777)]
    like_ours = [
        f"vmh-boots-abcdefgh{first}{second}" for first in "abcdefgh234567" for second in "abcdefgh234567"
    ]

    assert is_made_up(name)
    assert not is_made_up(f"{name}-1"), "a copy is somebody's own"
    assert not is_made_up(name[:-1])
    assert not any(is_made_up(other) for other in others), "0, 1, 8 and 9 are never in ours"
    assert sum(is_made_up(other) for other in like_ours) <= 1


def test_names_and_tokens_differ() -> None:
    assert len({make_name("vmh", "t") for _ in range(100)}) == 100
    assert len({new_token() for _ in range(100)}) == 100
    assert len(new_token()) == 32
