"""Two users on one engine, each with a state folder of their own: neither touches the other's machines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from faultlab import user as user_script
from faultlab.fake import FakeStage
from faultlab.user import SharedStore, open_session

# A user whom the password database doesn't know.
OTHER = 54321
PATIENCE_S = 60.0


class User:
    """A process of the other user; see faultlab.user."""

    def __init__(self, engine: Path, state: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(user_script.__file__), str(OTHER), str(engine), str(state)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def tell(self, order: str) -> object:
        """Give an order, and return the answer."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(order + "\n")
        self._process.stdin.flush()
        answer: object = json.loads(self._process.stdout.readline())
        return answer

    def die(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.communicate(timeout=PATIENCE_S)


class Place:
    """An engine for all, and a state folder for each."""

    def __init__(self, folder: Path) -> None:
        self.stage = FakeStage(folder)
        self.ours = folder / "ours"
        self.theirs = folder / "theirs"
        self.store = SharedStore(self.stage.store.path)
        self.store.prepare()
        self.theirs.mkdir(mode=0o700)
        os.chown(self.theirs, OTHER, OTHER)
        self._users: list[User] = []

    def user(self) -> User:
        user = User(self.store.path, self.theirs)
        self._users.append(user)
        return user

    def close(self) -> None:
        for user in self._users:
            user.die()


@pytest.fixture
def place() -> Iterator[Place]:
    if os.geteuid():
        pytest.skip("only root can become another user")
    with TemporaryDirectory() as folder:  # pytest's own folders are closed to others
        Path(folder).chmod(0o711)
        place = Place(Path(folder))
        yield place
        place.close()


def test_machines_of_another_users_living_session_stay(place: Place) -> None:
    session = open_session(place.store, place.ours)
    mine = session.create().name
    user = place.user()

    assert user.tell("open") == []
    theirs = str(user.tell("create"))
    again = open_session(place.store, place.ours)

    assert again.tally.reports == []
    assert place.stage.names() == {mine, theirs}
    again.close()
    user.tell("close")
    assert place.stage.names() == {mine}
    session.close()
    assert place.stage.names() == set()


def test_machines_of_another_users_dead_session_are_left_to_that_user(place: Place) -> None:
    user = place.user()
    user.tell("open")
    theirs = str(user.tell("create"))
    user.die()

    session = open_session(place.store, place.ours)

    assert session.tally.reports == []
    assert place.stage.names() == {theirs}
    session.close()
    assert place.user().tell("open") == [f"swept 1 of a dead session: {theirs}"]
    assert place.stage.names() == set()
