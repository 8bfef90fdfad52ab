"""The verbs over an engine that is a few dictionaries, and that fails where it is told to."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from socket import socket
from typing import Any, cast

import pytest

from vmharness.errors import (
    Busy,
    CreateFailed,
    CreateTimeout,
    CreateUnsettled,
    EngineUnavailable,
    NameTaken,
)
from vmharness.provider import Kind, MachineState, Spec
from vmharness_docker import DockerProvider as Docker
from vmharness_docker._endpoint import Endpoint
from vmharness_docker._open import Api, Json, Opener

IMAGE = "tiny:latest"
LABELS = {"vmharness.token": "t"}


class Answer(Exception):
    """An error that the engine answers with, as docker-py's APIError."""

    def __init__(self, status_code: int, explanation: str = "") -> None:
        super().__init__(explanation)
        self.status_code = status_code
        self.explanation = explanation


class FakeDocker:
    """One engine; it is its own client and its own low-level client.

    Attributes:
        faults: What a call raises or does in place of itself, by its name; each is used once.
        asked: The calls, with their arguments.
    """

    half_closes = True

    def __init__(self) -> None:
        self.entries: dict[str, Json] = {}
        self.config: dict[str, Json] = {IMAGE: {"Cmd": ["/sbin/init"]}}
        self.arch = "amd64"
        self.exits: int | None = None
        self.faults: dict[str, list[Exception | Callable[[], Any]]] = {}
        self.asked: list[tuple[Any, ...]] = []
        self.opened = 0

    @property
    def api(self) -> Api:
        return cast("Api", self)

    @contextmanager
    def open(self, timeout: float) -> Generator[FakeDocker, None, None]:
        self._call("open", timeout)
        self.opened += 1
        try:
            yield self
        finally:
            self.opened -= 1

    def exec_create(self, container: str, cmd: list[str], **options: Any) -> Json:
        raise Answer(409, "this engine runs no commands")

    def left(self) -> float:
        return 0.0

    def pull(self, image: str, platform: str | None) -> None:
        self._call("pull", image, platform)
        self.config[image] = {}
        self.arch = platform.removeprefix("linux/") if platform else self.arch

    def attach(self, exec_id: str) -> tuple[socket, bytes]:
        raise NotImplementedError

    def containers(self, *, all: bool, filters: Json | None = None) -> list[Json]:
        self._call("containers", filters)
        part = (filters or {}).get("name", "")
        only = (filters or {}).get("id", "")
        return [
            {**entry, "Names": [f"/{entry['Name']}"]}
            for entry in self.entries.values()
            if part in entry["Name"] and entry["Id"].startswith(only)
        ]

    def create_host_config(self, *, nano_cpus: int | None, mem_limit: int | None) -> Json:
        return {"nano_cpus": nano_cpus, "mem_limit": mem_limit}

    def create_container(self, image: str, **options: Any) -> Json:
        self._call("create_container", image, options)
        return self.add(options["name"], options["labels"], image)

    def add(self, name: str, labels: dict[str, str], image: str = IMAGE) -> Json:
        """Put a container there that was never started."""
        container = f"{len(self.entries):04x}" + 60 * "0"
        self.entries[container] = {
            "Id": container,
            "Name": name,
            "Image": image,
            "Labels": labels,
            "State": "created",
            "Created": 1795381973,
        }
        return {"Id": container}

    def start(self, container: str) -> None:
        self._call("start", container)
        self.entries[container]["State"] = "running" if self.exits is None else "exited"

    def inspect_container(self, container: str) -> Json:
        self._call("inspect_container", container)
        entry = self.entries[container]
        return {
            "Name": f"/{entry['Name']}",
            "Created": "2026-11-22T21:12:53.611852315Z",
            "State": {"Status": entry["State"], "ExitCode": self.exits},
            "Config": {"Image": entry["Image"], "Labels": entry["Labels"]},
            "Path": "python3",
        }

    def remove_container(self, container: str, *, v: bool, force: bool) -> None:
        self._call("remove_container", container, v, force)
        del self.entries[container]

    def inspect_image(self, image: str) -> Json:
        self._call("inspect_image", image)
        if image not in self.config:
            raise Answer(404, f"No such image: {image}")
        return {"Config": self.config[image], "Architecture": self.arch}

    def images(self) -> list[Json]:
        self._call("images")
        return [{"RepoTags": [name]} for name in self.config] + [{"RepoTags": None}]

    def calls(self, *names: str) -> list[tuple[Any, ...]]:
        """Return the calls of those names."""
        return [call for call in self.asked if call[0] in names]

    def _call(self, name: str, *args: Any) -> None:
        self.asked.append((name, *args))
        if self.faults.get(name):
            fault = self.faults[name].pop(0)
            if isinstance(fault, Exception):
                raise fault
            fault()


@pytest.fixture
def docker() -> FakeDocker:
    return FakeDocker()


@pytest.fixture
def provider(docker: FakeDocker) -> Docker:
    return Docker(Opener(Endpoint()), open_engine=docker.open, sleep=lambda seconds: None)


def spec(**changes: Any) -> Spec:
    return replace(Spec(name="vm-1", image=IMAGE, labels=LABELS), **changes)


def test_machine_is_made_in_one_call_with_its_labels(provider: Docker, docker: FakeDocker) -> None:
    info = provider.create(spec(cpus=2, memory=64 * 2**20, user="me"), timeout=9)

    assert (info.name, info.state, info.labels) == ("vm-1", MachineState.RUNNING, LABELS)
    [(_, image, options)] = docker.calls("create_container")
    assert image == IMAGE
    assert options == {
        "name": "vm-1",
        "labels": LABELS,
        "host_config": {"nano_cpus": 2 * 10**9, "mem_limit": 64 * 2**20},
        "user": "me",
    }


def test_image_without_a_command_is_kept_up(provider: Docker, docker: FakeDocker) -> None:
    docker.config[IMAGE] = {"Cmd": ["bash"]}

    provider.create(spec(), timeout=9)

    [(_, _, options)] = docker.calls("create_container")
    assert (options["entrypoint"], options["command"]) == (["sleep", "2147483647"], [])


def test_missing_image_is_pulled_first(provider: Docker, docker: FakeDocker) -> None:
    provider.create(spec(image="other:1"), timeout=9)

    assert [call[0] for call in docker.calls("pull", "create_container")] == ["pull", "create_container"]


def test_image_of_another_architecture_is_pulled(provider: Docker, docker: FakeDocker) -> None:
    provider.create(spec(arch="aarch64"), timeout=9)

    assert docker.calls("pull") == [("pull", IMAGE, "linux/arm64")]
    [(_, _, options)] = docker.calls("create_container")
    assert options["platform"] == "linux/arm64"


def test_image_that_cannot_be_had_lists_those_that_can(provider: Docker, docker: FakeDocker) -> None:
    docker.faults["pull"] = [Answer(404, "pull access denied for nosuch")]

    with pytest.raises(CreateFailed, match=r"pull access denied.*; the engine has tiny:latest$"):
        provider.create(spec(image="nosuch:1"), timeout=9)

    assert docker.entries == {}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"name": "a/b"}, "a name is"),
        ({"kind": Kind.VM}, "no virtual machines"),
        ({"disk": 1}, "size the disk"),
        ({"user_data": "#cloud-config"}, "no cloud-init"),
    ],
)
def test_what_no_container_can_be_is_refused_unasked(
    provider: Docker, docker: FakeDocker, changes: dict[str, Any], why: str
) -> None:
    with pytest.raises(CreateFailed, match=why):
        provider.create(spec(**changes), timeout=9)

    assert docker.asked == []


def test_engine_that_cannot_be_reached_has_made_nothing(provider: Docker, docker: FakeDocker) -> None:
    docker.faults["open"] = [ConnectionRefusedError(111, "Connection refused")]

    with pytest.raises(CreateFailed, match="Connection refused; start Docker"):
        provider.create(spec(), timeout=9)


def test_taken_name_leaves_the_other_container_alone(provider: Docker, docker: FakeDocker) -> None:
    docker.faults["create_container"] = [Answer(409, 'name "/vm-1" is already in use by container "12"')]

    with pytest.raises(NameTaken):
        provider.create(spec(), timeout=9)

    assert docker.calls("remove_container") == []


@pytest.mark.parametrize("call", ["create_container", "start"])
@pytest.mark.parametrize(
    ("fault", "kind"),
    [(TimeoutError(), CreateTimeout), (ConnectionResetError(104, "reset by peer"), CreateUnsettled)],
)
def test_no_answer_after_the_create_was_sent_settles_nothing(
    provider: Docker, docker: FakeDocker, call: str, fault: Exception, kind: type[Exception]
) -> None:
    docker.faults[call] = [fault]

    with pytest.raises(kind):
        provider.create(spec(), timeout=9)

    assert docker.calls("remove_container") == []


@pytest.mark.parametrize("call", ["create_container", "start"])
def test_interrupt_passes_through(provider: Docker, docker: FakeDocker, call: str) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    docker.faults[call] = [interrupt]

    with pytest.raises(KeyboardInterrupt):
        provider.create(spec(), timeout=9)

    assert docker.opened == 0


def test_container_that_does_not_start_is_taken_away(provider: Docker, docker: FakeDocker) -> None:
    docker.faults["start"] = [Answer(400, "OCI runtime create failed")]

    with pytest.raises(CreateFailed, match="OCI runtime create failed"):
        provider.create(spec(), timeout=9)

    assert docker.entries == {}


def test_container_that_ends_at_once_is_taken_away(provider: Docker, docker: FakeDocker) -> None:
    docker.exits = 2

    with pytest.raises(CreateFailed, match="'python3', ended at once with status 2"):
        provider.create(spec(), timeout=9)

    assert docker.entries == {}


def test_what_goes_wrong_in_the_end_does_not_say_that_nothing_was_made(docker: FakeDocker) -> None:
    @contextmanager
    def open_badly(timeout: float) -> Generator[FakeDocker, None, None]:
        yield docker
        raise RuntimeError("cannot close the connection")

    with pytest.raises(RuntimeError):
        Docker(Opener(Endpoint()), open_engine=open_badly).create(spec(), timeout=9)


def test_half_made_container_that_stays_is_unsettled(provider: Docker, docker: FakeDocker) -> None:
    docker.faults = {"start": [Answer(500, "no space left")], "remove_container": [TimeoutError()]}

    with pytest.raises(CreateUnsettled, match=r"no space left; cannot take away .* no answer"):
        provider.create(spec(), timeout=9)


@pytest.mark.parametrize(
    ("left", "kind", "stays"),
    [
        ({}, CreateFailed, False),
        ({"vm-1": LABELS}, CreateFailed, False),
        ({"vm-1": {}}, CreateUnsettled, True),
    ],
)
def test_failure_of_the_engine_itself_is_looked_after(
    provider: Docker,
    docker: FakeDocker,
    left: dict[str, dict[str, str]],
    kind: type[Exception],
    stays: bool,
) -> None:
    for name, labels in left.items():
        docker.add(name, labels)
    docker.faults["create_container"] = [Answer(500, "no space left on device")]

    with pytest.raises(kind, match="no space left"):
        provider.create(spec(), timeout=9)

    assert bool(docker.entries) is stays


def test_list_is_one_request(provider: Docker, docker: FakeDocker) -> None:
    docker.add("vm-1", LABELS)
    docker.add("stranger", {})

    assert [(info.name, info.labels) for info in provider.list()] == [("vm-1", LABELS), ("stranger", {})]
    assert docker.calls("containers", "inspect_container") == [("containers", None)]


@pytest.mark.parametrize("fault", [KeyError("Names"), TimeoutError(), Answer(500, "oops")])
def test_incomplete_listing_is_none(provider: Docker, docker: FakeDocker, fault: Exception) -> None:
    docker.faults["containers"] = [fault]

    with pytest.raises(EngineUnavailable):
        provider.list()


@pytest.mark.parametrize("name", ["vm", "m-1", "vm-11", "0000", "", "a/b", "../images/json", "-f"])
def test_only_the_very_name_is_meant(provider: Docker, docker: FakeDocker, name: str) -> None:
    docker.add("vm-1", LABELS)

    assert provider.exists("vm-1")
    assert not provider.exists(name)
    assert provider.inspect(name) is None
    provider.delete(name, timeout=9)
    assert docker.calls("remove_container") == []


def test_delete_takes_volumes_and_running_machines(provider: Docker, docker: FakeDocker) -> None:
    container = docker.add("vm-1", LABELS)["Id"]

    provider.delete("vm-1", timeout=9)

    assert docker.calls("remove_container") == [("remove_container", container, True, True)]


def test_delete_after_others_is_silent(provider: Docker, docker: FakeDocker) -> None:
    docker.add("vm-1", LABELS)
    docker.faults["remove_container"] = [Answer(404, "No such container")]

    provider.delete("vm-1", timeout=9)


def test_delete_waits_for_a_removal_that_is_under_way(provider: Docker, docker: FakeDocker) -> None:
    docker.add("vm-1", LABELS)

    def under_way() -> None:
        docker.entries.clear()
        raise Answer(409, "removal of container 0000 is already in progress")

    docker.faults["remove_container"] = [under_way]

    provider.delete("vm-1", timeout=9)


def test_removal_that_does_not_end_is_busy(provider: Docker, docker: FakeDocker) -> None:
    docker.add("vm-1", LABELS)
    docker.faults["remove_container"] = [Answer(409, "removal of container 0000 is already in progress")]

    with pytest.raises(Busy):
        provider.delete("vm-1", timeout=9)
