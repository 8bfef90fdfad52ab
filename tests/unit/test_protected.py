"""The list of protected machines: durable, private, and in doubt nothing is deleted."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import pytest

from vmharness._protected import Protected, ProtectedList
from vmharness.errors import LedgerError

WEB = Protected("fake", "memory:1", "web")
DB = Protected("incus", "unix:/x;project=a b", "db")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "host"


@pytest.fixture
def protected(folder: Path) -> ProtectedList:
    return ProtectedList(folder)


def test_at_first_nothing_is_protected_and_looking_makes_nothing(
    protected: ProtectedList, tmp_path: Path
) -> None:
    assert protected.read() == frozenset()
    assert not list(tmp_path.iterdir())


def test_what_is_added_is_there_for_every_process(protected: ProtectedList, folder: Path) -> None:
    protected.add(WEB)
    protected.add(DB)
    protected.add(WEB)

    assert ProtectedList(folder).read() == {WEB, DB}


def test_the_same_name_elsewhere_is_another_machine(protected: ProtectedList) -> None:
    protected.add(WEB)

    assert not protected.remove(WEB._replace(endpoint="memory:2"))
    assert not protected.remove(WEB._replace(backend="docker"))
    assert protected.read() == {WEB}


def test_what_is_removed_is_off_the_list_and_a_second_time_said(protected: ProtectedList) -> None:
    protected.add(WEB)
    protected.add(DB)

    assert protected.remove(WEB)
    assert not protected.remove(WEB)
    assert protected.read() == {DB}


def test_removing_from_no_list_is_no_error(protected: ProtectedList) -> None:
    assert not protected.remove(WEB)
    assert protected.read() == frozenset()


def test_folder_and_list_are_the_users_alone(protected: ProtectedList, folder: Path) -> None:
    protected.add(WEB)

    for path in (folder.parent, folder):
        assert path.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in folder.iterdir()] == ["protected.json"]
    assert (folder / "protected.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"garbage",
        b"\xff\xfe",
        b"7",
        b"null",
        b"[7]",
        b"[null]",
        b'["fake"]',
        b'[["fake", "memory:1"]]',
        b'[["fake", "memory:1", "web", "more"]]',
        b'{"backend": "fake"}',
        b'[["fake", "memory:1", "web"]',
    ],
)
def test_a_list_that_cannot_be_read_is_an_error_and_is_not_overwritten(
    protected: ProtectedList, folder: Path, content: bytes
) -> None:
    protected.add(WEB)
    (folder / "protected.json").write_bytes(content)

    for change in (protected.read, lambda: protected.add(DB), lambda: protected.remove(WEB)):
        with pytest.raises(LedgerError, match=r"protected\.json.*mend the file or delete it"):
            change()
    assert (folder / "protected.json").read_bytes() == content


def test_a_folder_in_its_place_is_an_error(protected: ProtectedList, folder: Path) -> None:
    (folder / "protected.json").mkdir(parents=True)
    (folder / "protected.json" / "x").touch()

    with pytest.raises(LedgerError, match="cannot read"):
        protected.read()


def test_a_list_that_cannot_be_written_is_an_error_and_stays_as_it_was(
    protected: ProtectedList, folder: Path
) -> None:
    protected.add(WEB)
    (folder / "protected.new").mkdir()

    with pytest.raises(LedgerError, match="cannot write the list of protected machines"):
        protected.add(DB)
    assert protected.read() == {WEB}


def test_a_folder_that_others_can_write_is_refused(protected: ProtectedList, folder: Path) -> None:
    folder.mkdir(parents=True)
    folder.chmod(0o777)

    with pytest.raises(LedgerError, match="others can write"):
        protected.add(WEB)
    assert not list(folder.iterdir())


def test_what_a_crash_left_half_written_is_not_the_list(protected: ProtectedList, folder: Path) -> None:
    protected.add(WEB)
    (folder / "protected.new").write_text('[["fake", "mem')

    assert protected.read() == {WEB}
    protected.add(DB)
    assert protected.read() == {WEB, DB}


def add_some(folder: Path, first: int) -> None:
    for number in range(first, first + 10):
        ProtectedList(folder).add(WEB._replace(name=f"web-{number}"))


def test_what_several_processes_add_at_once_is_all_there(folder: Path) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=add_some, args=(folder, first)) for first in (0, 10, 20)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()

    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert len(ProtectedList(folder).read()) == 30
    assert json.loads((folder / "protected.json").read_bytes())[0] == ["fake", "memory:1", "web-0"]
