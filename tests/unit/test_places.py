"""Where state lives: the first usable of four places, private, and named after the host."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from vmharness._places import boot_id, check_private, host_id, make_private, state_folder
from vmharness.errors import LedgerError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own; the platform's folder for state is in it."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    return folder


def blocked(home: Path) -> None:
    """Let the home be one that nothing can be made in, for root as well."""
    home.rmdir()
    home.write_text("not a folder")


def runtime(tmp_path: Path) -> Mapping[str, str]:
    (tmp_path / "run").mkdir(exist_ok=True)
    return {"XDG_RUNTIME_DIR": str(tmp_path / "run")}


# -- the choice


def test_the_variable_wins_over_all_else(home: Path, tmp_path: Path) -> None:
    environ = {"VMHARNESS_STATE_DIR": str(tmp_path / "mine"), **runtime(tmp_path)}

    assert state_folder(environ) == tmp_path / "mine"


def test_the_variable_is_obeyed_even_where_nothing_can_be_made(home: Path) -> None:
    blocked(home)

    assert state_folder({"VMHARNESS_STATE_DIR": str(home / "mine")}) == home / "mine"


def test_a_relative_variable_means_one_place_whatever_folder_is_entered_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert state_folder({"VMHARNESS_STATE_DIR": "mine"}) == tmp_path / "mine"


def test_an_empty_variable_counts_as_not_set(home: Path) -> None:
    assert state_folder({"VMHARNESS_STATE_DIR": ""}) == state_folder({})


def test_the_usual_place_is_in_the_users_home(home: Path, tmp_path: Path) -> None:
    assert state_folder(runtime(tmp_path)).is_relative_to(home)


def test_nothing_is_made_by_the_choice(home: Path, tmp_path: Path) -> None:
    state_folder(runtime(tmp_path))

    assert not list(home.iterdir())
    assert not list((tmp_path / "run").iterdir())


def test_a_home_that_cannot_be_written_gives_way_to_the_runtime_folder(home: Path, tmp_path: Path) -> None:
    blocked(home)

    assert state_folder(runtime(tmp_path)) == tmp_path / "run" / "vmharness"


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_home_gives_way_as_well(home: Path, tmp_path: Path) -> None:
    home.chmod(0o500)

    assert state_folder(runtime(tmp_path)) == tmp_path / "run" / "vmharness"


@pytest.mark.parametrize("value", [None, "", "missing/below/a/file"])
def test_without_home_and_runtime_folder_it_is_a_folder_of_the_users_own_in_the_temporary_one(
    home: Path, value: str | None
) -> None:
    blocked(home)
    environ = {} if value is None else {"XDG_RUNTIME_DIR": value and str(home / value)}

    assert state_folder(environ) == Path(tempfile.gettempdir(), f"vmharness-{os.geteuid()}")


def test_a_dangling_link_in_the_usual_place_is_not_passed_over(home: Path, tmp_path: Path) -> None:
    usual = state_folder({})
    usual.parent.mkdir(parents=True)
    usual.symlink_to(tmp_path / "nowhere")

    assert state_folder(runtime(tmp_path)) != usual
    with pytest.raises(LedgerError):
        make_private(usual)


# -- the host


def test_the_hosts_id_says_nothing_of_the_machine_id() -> None:
    assert re.fullmatch(r"[0-9a-f]{12}", host_id())
    assert host_id() == host_id()
    for path in (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id")):
        if path.exists():
            assert host_id() not in path.read_text()


def test_the_boots_id_is_short_or_empty() -> None:
    assert re.fullmatch(r"[0-9a-f]{8}|", boot_id())
    assert boot_id() == boot_id()


# -- private


def test_a_made_folder_is_the_users_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        make_private(tmp_path / "state")
    finally:
        os.umask(before)

    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


def test_missing_parents_are_made_and_making_may_be_repeated(tmp_path: Path) -> None:
    make_private(tmp_path / "a" / "b" / "c")
    make_private(tmp_path / "a" / "b" / "c")

    assert (tmp_path / "a" / "b" / "c").is_dir()


def test_a_folder_that_others_may_read_is_good_enough(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o755)

    check_private(tmp_path / "state")


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777, 0o1777])
def test_a_folder_that_others_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(mode)

    with pytest.raises(LedgerError, match="others can write to it; set VMHARNESS_STATE_DIR"):
        make_private(tmp_path / "state")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_another_users_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    os.chown(tmp_path / "state", 65534, 65534)

    with pytest.raises(LedgerError, match="user 65534 owns it; set VMHARNESS_STATE_DIR"):
        check_private(tmp_path / "state")


def test_a_link_to_a_private_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "state").symlink_to(tmp_path / "real")

    with pytest.raises(LedgerError, match="it is a symbolic link; set VMHARNESS_STATE_DIR"):
        make_private(tmp_path / "state")


def test_a_file_in_the_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")

    with pytest.raises(LedgerError, match="it is not a folder; set VMHARNESS_STATE_DIR"):
        check_private(tmp_path / "state")
    with pytest.raises(LedgerError, match=r"cannot make the state folder .*; set VMHARNESS_STATE_DIR"):
        make_private(tmp_path / "state")
    with pytest.raises(LedgerError, match=r"cannot make the state folder .*; set VMHARNESS_STATE_DIR"):
        make_private(tmp_path / "state" / "host")


def test_a_folder_that_is_gone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"cannot use the state folder .*; set VMHARNESS_STATE_DIR"):
        check_private(tmp_path / "none")
