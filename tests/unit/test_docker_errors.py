"""Every known answer of Docker's client and engine becomes one of our errors."""

from __future__ import annotations

import socket

import pytest

docker_errors = pytest.importorskip("docker.errors")
requests = pytest.importorskip("requests")
urllib3 = pytest.importorskip("urllib3")

from vmharness.errors import (  # noqa: E402 - the packages above may not be installed
    Busy,
    CreateFailed,
    CreateTimeout,
    CreateUnsettled,
    DeleteFailed,
    EngineUnavailable,
    NameTaken,
    ProviderError,
)
from vmharness_docker._errors import Doing, is_timeout, status_of, translate  # noqa: E402


def answer(status: int, text: str) -> Exception:
    """Make docker-py's error for an answer of the engine."""
    response = requests.Response()
    response.status_code = status
    error: Exception = docker_errors.APIError("refused", response=response, explanation=text)
    return error


def aborted(cause: Exception) -> Exception:
    """Make requests' error for a broken connection, nested as requests and urllib3 nest it."""
    error: Exception = requests.exceptions.ConnectionError(
        urllib3.exceptions.ProtocolError("Connection aborted.", cause)
    )
    return error


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


REFUSED = aborted(ConnectionRefusedError(111, "Connection refused"))
LOST = aborted(ConnectionResetError(104, "Connection reset by peer"))
READ_TIMEOUT = requests.exceptions.ReadTimeout("Read timed out. (read timeout=5)")
CONNECT_TIMEOUT = requests.exceptions.ConnectTimeout("the deadline passed before the engine was asked")
TCP_REFUSED = requests.exceptions.ConnectionError(
    caused(
        urllib3.exceptions.MaxRetryError(
            None, "/v1.41/info", urllib3.exceptions.NewConnectionError("c", "m")
        ),
        caused(urllib3.exceptions.NewConnectionError("c", "m"), ConnectionRefusedError(111, "refused")),
    )
)
VERSION = caused(docker_errors.DockerException("Error while fetching server API version: …"), REFUSED)
TAKEN = (
    'Conflict. The container name "/vm-1" is already in use by container "dcf1693e". You have to remove '
    "(or rename) that container to be able to reuse that name."
)

# The engine's own answers: what was under way, status, words, and what they become.
ANSWERS = [
    (Doing.ASK, 500, "driver failed", EngineUnavailable),
    (Doing.PREPARE, 404, "No such image: nosuch:1", CreateFailed),
    (Doing.PREPARE, 500, 'Get "https://registry-1.docker.io/v2/": dial tcp: no such host', CreateFailed),
    (Doing.CREATE, 409, TAKEN, NameTaken),
    (Doing.CREATE, 409, "Conflict. Some other one.", CreateFailed),
    (Doing.CREATE, 400, "Invalid container name (a/b), only [a-zA-Z0-9][a-zA-Z0-9_.-]", CreateFailed),
    (Doing.CREATE, 400, "Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs", CreateFailed),
    (Doing.CREATE, 400, "Minimum memory limit allowed is 6MB", CreateFailed),
    (Doing.CREATE, 404, "image was found but does not match the specified platform", CreateFailed),
    (Doing.CREATE, 500, "unable to find user nosuch: no matching entries in passwd file", CreateFailed),
    (Doing.CREATE, 400, 'runc create failed: exec: "/nosuch": no such file or directory', CreateFailed),
    (Doing.CREATE, 502, "Bad Gateway", CreateUnsettled),
    (Doing.CREATE, 504, "Gateway Timeout", CreateUnsettled),
    (Doing.DELETE, 409, "removal of container dcf1693e is already in progress", Busy),
    (Doing.DELETE, 409, "You cannot remove a running container dcf1693e.", DeleteFailed),
    (Doing.DELETE, 500, "failed to remove root filesystem: device or resource busy", DeleteFailed),
    (Doing.RUN, 409, "Container dcf1693e is not running", ProviderError),
    (Doing.RUN, 404, "No such container: dcf1693e", ProviderError),
]

# Where there was no answer: what was under way, what was raised, and what it becomes.
FAILURES = [
    (Doing.ASK, FileNotFoundError(2, "No such file or directory"), EngineUnavailable),
    (Doing.ASK, PermissionError(13, "Permission denied"), EngineUnavailable),
    (Doing.ASK, REFUSED, EngineUnavailable),
    (Doing.ASK, TCP_REFUSED, EngineUnavailable),
    (Doing.ASK, VERSION, EngineUnavailable),
    (Doing.ASK, LOST, EngineUnavailable),
    (Doing.ASK, READ_TIMEOUT, EngineUnavailable),
    (Doing.ASK, aborted(TimeoutError("timed out")), EngineUnavailable),
    (Doing.ASK, KeyError("Names"), EngineUnavailable),
    (Doing.PREPARE, REFUSED, CreateFailed),
    (Doing.PREPARE, READ_TIMEOUT, CreateFailed),
    (Doing.PREPARE, LOST, CreateFailed),
    (Doing.PREPARE, docker_errors.DockerException("toomanyrequests: rate limit"), CreateFailed),
    (Doing.CREATE, REFUSED, CreateFailed),
    (Doing.CREATE, TCP_REFUSED, CreateFailed),
    (Doing.CREATE, CONNECT_TIMEOUT, CreateFailed),
    (Doing.CREATE, READ_TIMEOUT, CreateTimeout),
    (Doing.CREATE, LOST, CreateUnsettled),
    (Doing.CREATE, aborted(BrokenPipeError(32, "Broken pipe")), CreateUnsettled),
    (Doing.DELETE, READ_TIMEOUT, DeleteFailed),
    (Doing.DELETE, LOST, DeleteFailed),
    (Doing.DELETE, REFUSED, EngineUnavailable),
    (Doing.RUN, REFUSED, EngineUnavailable),
    (Doing.RUN, LOST, ProviderError),
]


@pytest.mark.parametrize(("doing", "status", "words", "kind"), ANSWERS)
def test_each_known_answer_has_its_error(
    doing: Doing, status: int, words: str, kind: type[ProviderError]
) -> None:
    error = translate(answer(status, words), doing, "do it", machine="vm-1")

    assert type(error) is kind
    assert (error.backend, error.machine) == ("docker", "vm-1")
    assert str(error).startswith(f"cannot do it: {words}")


@pytest.mark.parametrize(("doing", "raised", "kind"), FAILURES)
def test_each_known_failure_has_its_error(doing: Doing, raised: Exception, kind: type[ProviderError]) -> None:
    assert type(translate(raised, doing, "do it")) is kind


@pytest.mark.parametrize(
    ("doing", "raised", "retryable"),
    [
        (Doing.ASK, REFUSED, False),
        (Doing.ASK, READ_TIMEOUT, True),
        (Doing.PREPARE, READ_TIMEOUT, True),
        (Doing.DELETE, LOST, True),
        (Doing.DELETE, answer(409, "removal is already in progress"), True),
        (Doing.DELETE, answer(500, "device or resource busy"), True),
        (Doing.DELETE, answer(409, "You cannot remove a running container"), False),
    ],
)
def test_error_says_whether_the_same_may_succeed_later(
    doing: Doing, raised: Exception, retryable: bool
) -> None:
    assert translate(raised, doing, "do it").retryable is retryable


@pytest.mark.parametrize(
    ("raised", "text"),
    [
        (answer(400, "Minimum memory limit allowed is 6MB"), "Minimum memory limit allowed is 6MB"),
        (REFUSED, "Connection refused; start Docker, or say where it is with DOCKER_HOST"),
        (
            PermissionError(13, "Permission denied"),
            "Permission denied; let this user use Docker's socket: it belongs to the group `docker`",
        ),
        (READ_TIMEOUT, "no answer before the deadline"),
        (LOST, "Connection reset by peer"),
        (
            socket.gaierror(-2, "Name or service not known"),
            "Name or service not known; start Docker, or say where it is with DOCKER_HOST",
        ),
    ],
)
def test_error_says_what_the_engine_said_and_what_to_do(raised: Exception, text: str) -> None:
    assert str(translate(raised, Doing.ASK, "do it")) == f"cannot do it: {text}"


@pytest.mark.parametrize(
    ("raised", "passed"),
    [(READ_TIMEOUT, True), (CONNECT_TIMEOUT, True), (TCP_REFUSED, False), (answer(408, "timeout"), False)],
)
def test_refused_connection_is_no_timeout(raised: Exception, passed: bool) -> None:
    assert is_timeout(raised) is passed


def test_only_an_answer_has_a_status() -> None:
    assert status_of(answer(409, "")) == 409
    assert status_of(REFUSED) is None
