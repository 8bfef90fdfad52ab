"""Settings: each from the first place that makes it; what is malformed is told with its place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from vmharness._settings import (
    DEFAULT_LIFECYCLE,
    SETTINGS,
    Leaks,
    Settings,
    Source,
    SweepMode,
    environment,
    nearest_pyproject,
    parse_bytes,
    parse_seconds,
    pyproject,
    read_settings,
)
from vmharness.errors import SettingsError


def table(**values: str | list[str]) -> Source:
    return Source(lambda name: f"table {name}", values.get)


def test_without_sources_all_is_default() -> None:
    assert read_settings([]) == Settings()


def test_the_first_source_wins() -> None:
    settings = read_settings([table(backend="one"), table(backend="two", image="debian:12")])

    assert (settings.backend, settings.image) == ("one", "debian:12")


def test_all_settings_are_read_from_variables() -> None:
    settings = read_settings(
        [
            environment(
                {
                    "VMHARNESS_BACKEND": "b",
                    "VMHARNESS_IMAGE": "i",
                    "VMHARNESS_CREATE_TIMEOUT": "2m",
                    "VMHARNESS_SWEEP": "prefix",
                    "VMHARNESS_PREFIX": "p",
                    "VMHARNESS_SWEEP_PREFIX": "one-, two-",
                    "VMHARNESS_LEAKS": "error",
                    "VMHARNESS_LIFECYCLE": "sweep,teardown",
                }
            )
        ]
    )

    assert settings == Settings(
        backend="b",
        image="i",
        create_timeout=120.0,
        sweep=SweepMode.PREFIX,
        prefix="p",
        sweep_prefix=("one-", "two-"),
        leaks=Leaks.ERROR,
        lifecycle=("sweep", "teardown"),
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("create_timeout", "soon"),
        ("create_timeout", "0"),
        ("create_timeout", "-1"),
        ("create_timeout", "nan"),
        ("sweep", "everything"),
        ("prefix", "Ä"),
        ("sweep_prefix", ["a", ""]),
        ("sweep_prefix", ["-x"]),
        ("leaks", "yes"),
        ("backend", " "),
        ("backend", ["a", "b"]),
        ("lifecycle", ["a b"]),
    ],
)
def test_malformed_values_are_told_with_their_place(name: str, value: str | list[str]) -> None:
    with pytest.raises(SettingsError, match=f"cannot use table {name} = "):
        read_settings([table(**{name: value})])


def test_sweeping_by_prefix_needs_a_prefix() -> None:
    with pytest.raises(SettingsError, match="no prefix is set"):
        read_settings([table(sweep="prefix")])


def test_pyproject_is_read(tmp_path: Path) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_text('[tool.vmharness]\nbackend = "b"\ncreate-timeout = 90\nsweep_prefix = ["a-", "b-"]\n')

    settings = read_settings([pyproject(file)])

    assert (settings.backend, settings.create_timeout, settings.sweep_prefix) == ("b", 90.0, ("a-", "b-"))


def test_unknown_keys_of_pyproject_are_told(tmp_path: Path) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_text('[tool.vmharness]\nbakend = "b"\n')

    with pytest.raises(SettingsError, match=r"'bakend'.*known are backend"):
        pyproject(file)


def test_pyproject_that_is_no_toml_is_told(tmp_path: Path) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_text("[tool.vmharness\n")

    with pytest.raises(SettingsError, match="cannot read"):
        pyproject(file)


def test_the_nearest_pyproject_is_found(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "pyproject.toml").touch()

    assert nearest_pyproject(tmp_path / "a" / "b") == tmp_path / "pyproject.toml"


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("1.5s", 1.5), ("5m", 300), ("12h", 43200), ("1d", 86400)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"), [("1024", 1024), ("512M", 512 << 20), ("2G", 2 << 30), ("1GiB", 1 << 30), (7, 7)]
)
def test_sizes(text: str | int, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "-1", "0", "2X", "G", "1.5G"])
def test_bad_sizes(text: str) -> None:
    with pytest.raises(ValueError, match="not a size"):
        parse_bytes(text)


def test_every_setting_has_help() -> None:
    assert all(setting.help and setting.metavar for setting in SETTINGS)


class TestLifecycle:
    """Which lifecycle plugins are on: all by their names, or what to change of the default."""

    @pytest.mark.parametrize(
        ("given", "on"),
        [
            ("teardown,reaper", ("teardown", "reaper")),
            ("-reaper", ("signals", "sweep", "tracking", "teardown")),
            ("-reaper, -sweep", ("signals", "tracking", "teardown")),
            ("+mine", (*DEFAULT_LIFECYCLE, "mine")),
            ("-teardown,+mine", ("reaper", "signals", "sweep", "tracking", "mine")),
            ("-sweep,+sweep", ("reaper", "signals", "tracking", "teardown", "sweep")),
        ],
    )
    def test_they_are_on_in_order(self, given: str, on: tuple[str, ...]) -> None:
        settings = read_settings([environment({"VMHARNESS_LIFECYCLE": given})])

        assert settings.lifecycle == on
        assert replace(settings, image="other").lifecycle == on
        assert Settings(lifecycle=tuple(part.strip() for part in given.split(","))) == settings

    @pytest.mark.parametrize(
        ("given", "why"),
        [
            ("-reaper,mine", "either name all that shall be on, or change the default"),
            ("mine,+reaper", "either name all that shall be on, or change the default"),
            ("-mine", "'mine' isn't on; by default reaper, signals, sweep, tracking, teardown are"),
            ("-reaper,-reaper", "'reaper' isn't on"),
            ("+reaper", "'reaper' is on already"),
            ("mine,mine", "'mine' is on already"),
        ],
    )
    def test_contradictions_are_refused(self, given: str, why: str) -> None:
        with pytest.raises(SettingsError) as raised:
            read_settings([environment({"VMHARNESS_LIFECYCLE": given})])

        assert str(raised.value).startswith(
            f"cannot use the lifecycle plugins {', '.join(given.split(','))}: {why}"
        )

    @pytest.mark.parametrize("name", ["--reaper", "-", "+", "a b", "-+a"])
    def test_what_is_no_name_is_refused(self, name: str) -> None:
        with pytest.raises(SettingsError, match="not the name of a plugin"):
            read_settings([environment({"VMHARNESS_LIFECYCLE": name})])

    def test_all_can_be_off(self) -> None:
        assert Settings(lifecycle=()).lifecycle == ()
        assert Settings(lifecycle=tuple(f"-{name}" for name in DEFAULT_LIFECYCLE)).lifecycle == ()
