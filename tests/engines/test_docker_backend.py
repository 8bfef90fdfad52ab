"""What only a real Docker engine shows. What is left there is read by Docker's own command."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import vmharness_docker
from vmharness.errors import CreateFailed
from vmharness.provider import CommandResult, MachineState, Spec
from vmharness_docker import DockerProvider

Docker = Callable[..., str]


@pytest.fixture
def name(docker_engine: Docker) -> Iterator[str]:
    """Return the name of a container that is gone after the test."""
    name = f"engines-{secrets.token_hex(5)}"
    yield name
    if docker_engine("ps", "--all", "--quiet", "--filter", f"name=^{name}$"):
        docker_engine("rm", "--force", "--volumes", name)


@pytest.fixture
def provider(docker_engine: Docker) -> DockerProvider:
    provider = vmharness_docker.connect()
    assert isinstance(provider, DockerProvider)
    return provider


@pytest.fixture
def commit(docker_engine: Docker, docker_image: str, name: str) -> Iterator[Callable[[str], str]]:
    """Make images with another command, which are gone after the test."""
    made: list[str] = []

    def commit(command: str) -> str:
        image = f"{name}:{len(made)}"
        docker_engine("create", "--name", f"{name}-base", docker_image)
        made.append(image)
        docker_engine("commit", "--change", f"CMD {command}", f"{name}-base", image)
        docker_engine("rm", f"{name}-base")
        return image

    yield commit
    # What still uses an image keeps it there, without a name.
    if docker_engine("ps", "--all", "--quiet", "--filter", f"name=^{name}$"):
        docker_engine("rm", "--force", name)
    for image in made:
        docker_engine("rmi", "--force", image)


def python(code: str, *args: str, **options: Any) -> subprocess.Popen[str]:
    """Start a Python that finds what this one finds."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *args],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )


CREATE_WHEN_TOLD = """
import sys, vmharness_docker
from vmharness.provider import Spec
provider = vmharness_docker.connect()
provider.list()
print("ready", flush=True)
sys.stdin.readline()
name, image = sys.argv[1:]
provider.create(Spec(name=name, image=image, labels={"vmharness.token": name}), timeout=60)
"""


@pytest.mark.parametrize("seconds", [0.005, 0.02, 0.05])
def test_container_of_a_client_killed_in_mid_create_is_listed_with_its_label(
    provider: DockerProvider, docker_engine: Docker, docker_image: str, name: str, seconds: float
) -> None:
    with python(CREATE_WHEN_TOLD, name, docker_image) as client:
        assert client.stdout is not None
        assert client.stdin is not None
        client.stdout.readline()
        client.stdin.write("go\n")
        client.stdin.flush()
        time.sleep(seconds)
        client.kill()

    time.sleep(0.5)  # the engine goes on
    left = docker_engine("ps", "--all", "--format", "{{.Names}}", "--filter", f"name=^{name}$").split()
    listed = {info.name: info.labels for info in provider.list() if info.name == name}
    assert listed == {found: {"vmharness.token": name} for found in left}
    provider.delete(name, timeout=30)
    assert docker_engine("ps", "--all", "--quiet", "--filter", f"name=^{name}$") == ""


TESTCONTAINERS = """
import json, os, sys
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import Reaper
def seen():
    return [repr(sorted(vars(testcontainers_config).items())), dict(os.environ), repr(Reaper._instance)]
before = seen()
import vmharness_docker
from vmharness.provider import Spec
provider = vmharness_docker.connect()
name, image = sys.argv[1:]
provider.create(Spec(name=name, image=image), timeout=60)
provider.run(name, ["true"], timeout=30)
provider.delete(name, timeout=30)
print(json.dumps(before == seen()))
"""


def test_testcontainers_own_settings_and_ryuk_stay_as_they_were(
    docker_engine: Docker, docker_image: str, name: str
) -> None:
    with python(TESTCONTAINERS, name, docker_image) as process:
        out, _ = process.communicate(timeout=60)

    assert json.loads(out) is True
    assert "ryuk" not in docker_engine("ps", "--all", "--format", "{{.Names}} {{.Image}}")


def test_labels_are_ours_alone(
    provider: DockerProvider, docker_engine: Docker, docker_image: str, name: str
) -> None:
    """With testcontainers' own ones, the Ryuk of a user's tests would delete the container."""
    provider.create(Spec(name=name, image=docker_image, labels={"vmharness.token": "t"}), timeout=60)

    labels = docker_engine("inspect", "--format", "{{json .Config.Labels}}", name)
    assert json.loads(labels) == {"vmharness.token": "t"}


def test_strangers_are_listed(
    provider: DockerProvider, docker_engine: Docker, docker_image: str, name: str
) -> None:
    docker_engine("create", "--name", name, "--label", "theirs=1", docker_image)

    [info] = [info for info in provider.list() if info.name == name]
    assert (info.state, info.labels) == (MachineState.STOPPED, {"theirs": "1"})


def test_id_is_no_name(provider: DockerProvider, docker_engine: Docker, docker_image: str, name: str) -> None:
    """Docker's API takes the beginning of an ID for a name: a stranger's machine would go."""
    container = docker_engine("create", "--name", name, docker_image).strip()

    for part in (container, container[:12], container[:4]):
        assert not provider.exists(part)
        assert provider.inspect(part) is None
        provider.delete(part, timeout=30)

    assert docker_engine("inspect", "--format", "{{.Id}}", name).strip() == container


def test_container_that_does_not_start_is_taken_away(
    provider: DockerProvider, docker_engine: Docker, docker_image: str, name: str
) -> None:
    with pytest.raises(CreateFailed, match="unable to find user nosuch"):
        provider.create(Spec(name=name, image=docker_image, user="nosuch"), timeout=60)

    assert docker_engine("ps", "--all", "--quiet", "--filter", f"name=^{name}$") == ""


def test_image_with_a_mere_shell_stays_up(
    provider: DockerProvider, docker_engine: Docker, commit: Callable[[str], str], name: str
) -> None:
    provider.create(Spec(name=name, image=commit('["sh"]')), timeout=60)

    assert docker_engine("inspect", "--format", "{{.Path}} {{.State.Running}}", name).strip() == "sleep true"


def test_image_whose_command_ends_makes_no_machine(
    provider: DockerProvider, docker_engine: Docker, commit: Callable[[str], str], name: str
) -> None:
    image = commit('["false"]')

    with pytest.raises(CreateFailed, match="'false', ended at once with status 1"):
        provider.create(Spec(name=name, image=image), timeout=60)

    assert docker_engine("ps", "--all", "--quiet", "--filter", f"name=^{name}$") == ""


def test_sizes_and_user_are_set(
    provider: DockerProvider, docker_engine: Docker, docker_image: str, name: str
) -> None:
    spec = Spec(name=name, image=docker_image, cpus=1, memory=64 * 2**20, user="tester")

    provider.create(spec, timeout=60)

    form = "{{.HostConfig.NanoCpus}} {{.HostConfig.Memory}}"
    assert docker_engine("inspect", "--format", form, name).split() == ["1000000000", str(64 * 2**20)]
    assert provider.run(name, ["whoami"], timeout=30).stdout == "tester\n"
    assert provider.run(name, ["whoami"], timeout=30, user="root").stdout == "root\n"


def test_much_goes_in_and_out(provider: DockerProvider, docker_image: str, name: str) -> None:
    provider.create(Spec(name=name, image=docker_image), timeout=60)
    data = b"0123456789abcdef" * 2**17

    assert provider.run(name, ["cat"], timeout=60, input=data).stdout == data.decode()
    unread = provider.run(name, ["sh", "-c", "echo hi; exit 4"], timeout=60, input=data)
    assert unread == CommandResult(status=4, stdout="hi\n", stderr="")


def test_endpoint_means_the_same_engine_whatever_the_environment_says(
    provider: DockerProvider, docker_image: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = provider.endpoint
    provider.create(Spec(name=name, image=docker_image), timeout=60)
    monkeypatch.setenv("DOCKER_HOST", "unix:///no/such.sock")

    assert vmharness_docker.connect(endpoint).exists(name)
