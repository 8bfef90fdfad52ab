"""Which Docker engine is meant: the endpoint's text, and Docker's variables."""

from __future__ import annotations

from pathlib import Path

import pytest

import vmharness_docker
from vmharness.errors import EngineUnavailable
from vmharness.provider import Provider
from vmharness_docker._endpoint import DEFAULT_URL, Endpoint
from vmharness_docker._open import Opener


@pytest.mark.parametrize(
    "text",
    [
        "unix:///var/run/docker.sock",
        "unix:///tmp/with?mark/docker.sock",
        "tcp://10.0.0.5:2375",
        "tcp://host:2376?cert=/home/me/.docker",
        "tcp://host:2376?cert=/home/me/.docker&verify=0",
    ],
)
def test_endpoint_is_read_as_it_is_written(text: str) -> None:
    assert str(Endpoint.parse(text)) == text


@pytest.mark.parametrize(
    ("url", "usual"),
    [
        ("", DEFAULT_URL),
        ("unix://", DEFAULT_URL),
        (" unix:///a.sock ", "unix:///a.sock"),
        ("localhost:2375", "tcp://localhost:2375"),
        ("http://localhost:2375/", "tcp://localhost:2375"),
    ],
)
def test_one_engine_has_one_text(url: str, usual: str) -> None:
    assert str(Endpoint.of_environ(url, {})) == usual


def test_engine_without_a_name_is_at_the_default_socket() -> None:
    assert str(Endpoint.of_environ(None, {"DOCKER_TLS_VERIFY": "1"})) == DEFAULT_URL


@pytest.mark.parametrize(
    ("environ", "query"),
    [
        ({}, ""),
        ({"DOCKER_TLS_VERIFY": ""}, ""),
        ({"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/c"}, "?cert=/c"),
        ({"DOCKER_CERT_PATH": "/c"}, "?cert=/c&verify=0"),
        ({"DOCKER_TLS_VERIFY": "1"}, f"?cert={Path.home()}/.docker"),
    ],
)
def test_certificates_are_found_as_docker_finds_them(environ: dict[str, str], query: str) -> None:
    assert str(Endpoint.of_environ("tcp://h:2376", environ)) == f"tcp://h:2376{query}"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ssh://me@host", "no deadlines"),
        ("npipe:////./pipe/docker_engine", "neither"),
        ("https://host:2376", "neither"),
        ("tcp://me:secret@host:2375", "no user or password"),
    ],
)
def test_address_that_cannot_be_used_is_refused(url: str, why: str) -> None:
    with pytest.raises(EngineUnavailable, match=why) as caught:
        vmharness_docker.connect(url)

    assert "secret" not in str(caught.value)


def test_connecting_asks_nothing() -> None:
    pytest.importorskip("testcontainers")

    provider = vmharness_docker.connect("unix:///no/such.sock")

    assert isinstance(provider, Provider)
    assert provider.endpoint == "unix:///no/such.sock"
    with pytest.raises(EngineUnavailable, match="start Docker"):
        provider.list()


def test_default_engine_is_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("testcontainers")
    monkeypatch.setenv("DOCKER_HOST", "unix:///no/such.sock")

    assert vmharness_docker.connect().endpoint == "unix:///no/such.sock"


def test_unusable_environment_is_an_engine_that_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("testcontainers")
    monkeypatch.setenv("DOCKER_HOST", "ssh://host")

    with pytest.raises(EngineUnavailable, match="no deadlines"):
        vmharness_docker.connect().list()


@pytest.mark.parametrize(
    ("endpoint", "before", "after"),
    [
        (DEFAULT_URL, [], []),
        ("unix:///a.sock", ["--host", "unix:///a.sock"], []),
        (
            "tcp://h:1?cert=/c",
            ["--host", "tcp://h:1", "--tlsverify"],
            ["--tlscacert=/c/ca.pem", "--tlscert=/c/cert.pem", "--tlskey=/c/key.pem"],
        ),
    ],
)
def test_shown_command_names_the_engine(endpoint: str, before: list[str], after: list[str]) -> None:
    provider = vmharness_docker.DockerProvider(Opener(Endpoint.parse(endpoint)))

    assert provider.delete_argv("vm-1") == ["docker", *before, *after, "rm", "--force", "--volumes", "vm-1"]
