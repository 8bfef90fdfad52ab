"""The simulated daemon: it outlives its clients, and takes its time."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from orbctls import Commands


@pytest.fixture
def orbctl(tmp_path: Path) -> Commands:
    return Commands(tmp_path / "bin")


def test_machine_appears_though_its_client_was_killed(orbctl: Commands) -> None:
    orbctl.set(create_s=3600, provision_s=3600)
    client = orbctl.start("create", "ubuntu", "a")
    orbctl.steer.wait_for("create", "accepted")

    client.kill()

    assert client.wait() == -signal.SIGKILL
    assert orbctl.state("a") == "creating"
    orbctl.steer.pass_time(3600)
    assert orbctl.state("a") == "provisioning"
    assert orbctl.says("run", "-m", "a", "hostname") == "a\n"
    orbctl.steer.pass_time(3600)
    assert orbctl.state("a") == "running"


@pytest.mark.parametrize("point", ["before", "accepted", "after"])
def test_a_create_can_be_stopped_at_each_moment(orbctl: Commands, point: str) -> None:
    orbctl.steer.hold(f"create:{point}")
    client = orbctl.start("create", "ubuntu", "a")

    (event,) = orbctl.steer.wait_for("create", "waits")

    assert event.pid == client.pid
    assert event.name == "a"
    assert orbctl.state("a") == ("" if point == "before" else "running")
    orbctl.steer.release(f"create:{point}")
    assert client.wait() == 0
    assert orbctl.state("a") == "running"


def test_runs_of_one_program_can_be_stopped(orbctl: Commands) -> None:
    orbctl.says("create", "ubuntu", "a")
    orbctl.steer.hold("run sleep:before")
    client = orbctl.start("run", "-m", "a", "sleep", "0")
    orbctl.steer.wait_for("run", "waits")

    assert orbctl.says("run", "-m", "a", "hostname") == "a\n"
    assert client.poll() is None
    orbctl.steer.release("run sleep:before")
    assert client.wait() == 0


def test_the_log_tells_who_started_a_command(orbctl: Commands) -> None:
    orbctl.says("create", "ubuntu", "a")

    assert {event.parent for event in orbctl.steer.events()} == {os.getpid()}


def test_a_wedged_engine_answers_nobody(orbctl: Commands) -> None:
    orbctl.steer.hold("*:before")
    clients = [orbctl.start("status"), orbctl.start("list")]

    orbctl.steer.wait_for("status", "waits")
    orbctl.steer.wait_for("list", "waits")

    assert [client.poll() for client in clients] == [None, None]
    orbctl.steer.release("*:before")
    assert [client.wait() for client in clients] == [0, 0]


def test_delete_is_refused_while_the_machine_is_being_made(orbctl: Commands) -> None:
    orbctl.set(create_s=3600)
    client = orbctl.start("create", "ubuntu", "a")
    orbctl.steer.wait_for("create", "accepted")

    refused = orbctl.says("delete", "-f", "a", status=1)
    orbctl.set(release="0.12.0")
    refused_long_ago = orbctl.says("delete", "-f", "a", status=1)
    orbctl.set(delete_unready="cancel")
    canceled = orbctl.says("delete", "-f", "a")

    assert refused == "[-32098] cannot transition from creating to deleting\n"
    assert refused_long_ago == "[-32098] invalid transition from creating to deleting\n"
    assert (canceled, orbctl.state("a")) == ("", "")
    assert client.wait() == 1


def test_a_stop_during_setup_cancels_the_create(orbctl: Commands) -> None:
    orbctl.set(provision_s=3600)
    client = orbctl.start("create", "ubuntu", "a", stderr=True)
    orbctl.steer.wait_for("create", "accepted")

    orbctl("stop", "a")

    _, said = client.communicate()
    assert said == (b"[-32098] create 'a': setup: do initial setup: canceled by machine shutdown\n")
    assert orbctl.state("a") == ""


def test_a_restart_of_the_engine_drops_what_is_being_set_up(orbctl: Commands) -> None:
    orbctl("create", "ubuntu", "done")
    orbctl("create", "ubuntu", "off")
    orbctl("stop", "off")
    orbctl.set(provision_s=3600)
    client = orbctl.start("create", "ubuntu", "new")
    orbctl.steer.wait_for("create", "accepted", name="new")

    orbctl("stop")

    assert client.wait() == 1
    orbctl("start")
    assert [orbctl.state(name) for name in ("done", "off", "new")] == ["running", "stopped", ""]


def test_start_and_stop_take_their_time(orbctl: Commands) -> None:
    orbctl("create", "ubuntu", "a")
    orbctl.set(stop_s=3600, start_s=3600, delete_s=3600)
    clients = [orbctl.start("stop", "a")]
    orbctl.steer.wait_for("stop", "accepted")

    stopping = orbctl.state("a")
    orbctl.steer.pass_time(3600)
    stopped = orbctl.state("a")
    clients.append(orbctl.start("start", "a"))
    orbctl.steer.wait_for("start", "accepted")
    starting = orbctl.state("a")
    orbctl.steer.pass_time(3600)
    clients.append(orbctl.start("delete", "-f", "a"))
    orbctl.steer.wait_for("delete", "accepted")
    deleting = orbctl.state("a")
    orbctl.steer.pass_time(7200)

    assert (stopping, stopped, starting, deleting) == ("stopping", "stopped", "starting", "deleting")
    assert [client.wait() for client in clients] == [0, 0, 0]
    assert orbctl.state("a") == ""


def test_scale_is_the_pace_of_a_mac(orbctl: Commands) -> None:
    orbctl.set(scale=1000)
    client = orbctl.start("create", "ubuntu", "a")
    orbctl.steer.wait_for("create", "accepted")

    states: list[str] = []
    for seconds in (12_999, 2, 5_000):  # download and creation, set-up
        orbctl.steer.pass_time(seconds)
        states.append(orbctl.state("a"))

    assert states == ["creating", "provisioning", "running"]
    assert client.wait() == 0


def test_a_stopped_engine_is_started_by_all_but_status_and_version(orbctl: Commands) -> None:
    assert orbctl.says("status") == "Running\n"
    orbctl("stop")
    orbctl("version")
    assert orbctl.says("status", status=1) == "Stopped\n"

    orbctl.set(cannot_start=True)
    assert orbctl.says("list", status=1) == "[-32098] timed out waiting for services to start\n"
    orbctl.set(cannot_start=None, engine_start_s=3600)
    client = orbctl.start("list")
    while orbctl("status").stdout == "Stopped\n":
        assert client.poll() is None

    assert orbctl.says("status", status=2) == "Starting\n"
    orbctl.steer.pass_time(3600)
    assert client.wait() == 0
    assert orbctl.says("status") == "Running\n"


def test_parallel_creates_get_a_machine_each(orbctl: Commands) -> None:
    clients = [orbctl.start("create", "ubuntu", f"vm-{number}") for number in range(6)]

    assert [client.wait() for client in clients] == [0] * 6
    rows = json.loads(orbctl("list", "-f", "json").stdout)
    assert [row["name"] for row in rows] == [f"vm-{number}" for number in range(6)]
    assert len({row["id"] for row in rows}) == 6
