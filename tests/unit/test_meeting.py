"""Ledgers of other state folders: found as long as they are there, and never anybody else's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vmharness._ledger import FileLedgers
from vmharness._meeting import Meeting


@pytest.fixture
def meeting(tmp_path: Path) -> Meeting:
    (tmp_path / "meeting").mkdir()
    return Meeting(tmp_path / "meeting")


@pytest.fixture
def announcements(tmp_path: Path) -> Path:
    return tmp_path / "meeting" / f"vmharness-{os.geteuid()}" / "ledgers"


def test_ledgers_of_another_state_folder_are_found_until_they_are_settled(
    meeting: Meeting, tmp_path: Path, announcements: Path
) -> None:
    here = FileLedgers(tmp_path / "here", host="host", meeting=meeting)
    there = FileLedgers(tmp_path / "there", host="host", meeting=meeting)
    ours, theirs = here.open("ours"), there.open("theirs")

    assert list(here.elsewhere()) == [theirs.path]
    assert list(there.elsewhere()) == [ours.path]

    theirs.close()

    assert list(here.elsewhere()) == []
    assert [link.name for link in announcements.iterdir()] == [ours.path.name]
    ours.close()


def test_what_leads_nowhere_is_taken_away(meeting: Meeting, tmp_path: Path, announcements: Path) -> None:
    meeting.announce(tmp_path / "gone.ledger")

    assert list(meeting.ledgers()) == []
    assert list(announcements.iterdir()) == []


def test_it_is_private(meeting: Meeting, tmp_path: Path, announcements: Path) -> None:
    meeting.announce(tmp_path / "a.ledger")

    assert [folder.stat().st_mode & 0o777 for folder in (announcements.parent, announcements)] == [0o700] * 2


def test_a_session_can_do_without(
    meeting: Meeting, tmp_path: Path, announcements: Path, caplog: pytest.LogCaptureFixture
) -> None:
    announcements.parent.touch()  # somebody made something else of that name

    ledger = FileLedgers(tmp_path / "state", host="host", meeting=meeting).open("session")

    assert "sessions with another state folder won't know of" in caplog.text
    ledger.close()


def test_nobody_met_is_no_error(meeting: Meeting, announcements: Path) -> None:
    announcements.parent.touch()
    assert list(meeting.ledgers()) == []
    meeting.withdraw(Path("/no/such.ledger"))
