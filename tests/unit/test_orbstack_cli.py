"""orbctl's arguments and errors: what it is told, and what its answers become."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from vmharness.command import CommandLine
from vmharness.errors import (
    Busy,
    CreateFailed,
    CreateTimeout,
    CreateUnsettled,
    DeleteFailed,
    EngineUnavailable,
    NameTaken,
    ProviderError,
)
from vmharness.provider import CommandResult, Spec
from vmharness_orbstack._catalogue import CATALOGUE, look_up, said
from vmharness_orbstack._cli import OrbCtl, RolledBack


class Canned(CommandLine):
    """Gives one answer to all questions, and remembers what it was asked."""

    def __init__(
        self, stderr: str = "", status: int = 0, *, stdout: str = "", raises: BaseException | None = None
    ) -> None:
        super().__init__("orbctl", backend="orbstack")
        self.answer = CommandResult(status=status, stdout=stdout, stderr=stderr)
        self.raises = raises
        self.calls: list[list[str]] = []
        self.inputs: list[bytes | None] = []
        self.seen: Callable[[Sequence[str]], None] = lambda args: None

    def run(self, args: Sequence[str], *, timeout: float, input: bytes | None = None) -> CommandResult:
        self.calls.append([*args])
        self.inputs.append(input)
        self.seen(args)
        if self.raises is not None:
            raise self.raises
        return self.answer


DOWN = "[-32098] timed out waiting for services to start"
HOMELESS = "panic: $HOME is not defined"
ABSENT = "[-32098] machine not found: 'vm-1'"
ABSENT_TOO = ("[-32602] no machine found: 'vm-1'", "[-32098] machine not found: vm-1")
LOOKUP = (
    'Get "https://cdn-images.orbstack.dev/streams/v1/images.json": dial tcp: '
    "lookup cdn-images.orbstack.dev on 198.19.248.200:53: read udp 198.19.248.2:42412"
)
PANIC = "panic: runtime error: invalid memory address\n\tscon/cmd/scli/cmd/delete.go:141"

# The catalogue of the facts, row by row: what orbctl says, the error it becomes, whether to try again.
CREATE = [
    ("[-32098] create 'vm-1': machine already exists: 'vm-1'", NameTaken, False),
    ("[-32098] create 'vm-1': make rootfs: image not found: {ubuntu focal arm64 default}", RolledBack, False),
    (f"[-32098] create 'vm-1': make rootfs: fetch index: get index: {LOOKUP}: i/o timeout", RolledBack, True),
    (
        f"[-32098] create 'vm-1': make rootfs: fetch index: {LOOKUP}: connect: connection refused",
        RolledBack,
        True,
    ),
    (
        "[-32098] create 'vm-1': make rootfs: download metadata: GET download status: 404 Not Found",
        RolledBack,
        True,
    ),
    (
        "[-32098] create 'vm-1': make rootfs: download metadata: GET download status: 502 Bad Gateway",
        RolledBack,
        True,
    ),
    ("[-32098] create 'vm-1': make rootfs: unexpected EOF", RolledBack, True),
    ("[-32098] create 'vm-1': setup: machine didn't start in 30s (missing IP address)", RolledBack, True),
    ("[-32098] create 'vm-1': setup: machine crashed on startup", RolledBack, False),
    ("[-32098] create 'vm-1': setup: do initial setup: canceled by machine shutdown", RolledBack, False),
    ("[-32098] create 'vm-1': setup: something that nobody has seen yet", RolledBack, False),
    ("[-32098] create 'other': setup: something that nobody has seen yet", CreateUnsettled, False),
    ("Error: unknown flag: --cpus", CreateFailed, False),
    ("Error: unknown shorthand flag: 'c' in -c", CreateFailed, False),
    ('Error: invalid argument "x" for "--cpus" flag', CreateFailed, False),
    (DOWN, CreateFailed, False),
    (HOMELESS, CreateFailed, False),
    ("unexpected EOF", CreateUnsettled, False),
    ("[-32098] no space left on device", CreateUnsettled, False),
    ("", CreateUnsettled, False),
]
DELETE = [
    ("[-32098] cannot transition from creating to deleting", Busy, True),
    ("[-32098] invalid transition from creating to deleting", Busy, True),
    (
        "[-32098] delete rootfs: remove all: unlinkat /x/rootfs/swap: read-only file system",
        DeleteFailed,
        False,
    ),
    (
        "[-32098] delete rootfs: remove all: unlinkat x2: /x/swap: operation not permitted",
        DeleteFailed,
        False,
    ),
    ("[-32098] delete rootfs: EBUSY: Device or resource busy", DeleteFailed, True),
    ("[-32098] no space left on device", DeleteFailed, False),
    (DOWN, EngineUnavailable, False),
    (PANIC, DeleteFailed, False),
    ("[-32098] never seen", DeleteFailed, False),
    ("", DeleteFailed, False),
]
RUN = [
    (ABSENT, ProviderError, False),
    ("[-32098] agent not running", ProviderError, False),
    ("[-32098] key not found", ProviderError, False),
    ("[-32098] invalid transition from creating to starting", ProviderError, True),
    (DOWN, EngineUnavailable, False),
]


@pytest.mark.parametrize(("stderr", "expected", "retryable"), CREATE)
def test_errors_of_create(stderr: str, expected: type[ProviderError], retryable: bool) -> None:
    with pytest.raises(ProviderError) as caught:
        OrbCtl(Canned(stderr, 1)).create(Spec(name="vm-1"), "ubuntu", timeout=60)

    assert type(caught.value) is expected
    assert caught.value.machine == "vm-1"
    assert caught.value.backend == "orbstack"
    assert caught.value.retryable is retryable
    assert str(caught.value).startswith(
        "cannot create machine 'vm-1': orbctl create ubuntu vm-1 ended with 1"
    )


@pytest.mark.parametrize(("stderr", "expected", "retryable"), DELETE)
def test_errors_of_delete(stderr: str, expected: type[ProviderError], retryable: bool) -> None:
    with pytest.raises(ProviderError) as caught:
        OrbCtl(Canned(stderr, 1)).delete("vm-1", timeout=60)

    assert type(caught.value) is expected
    assert caught.value.machine == "vm-1"
    assert caught.value.retryable is retryable


@pytest.mark.parametrize(("stderr", "expected", "retryable"), RUN)
def test_errors_of_run(stderr: str, expected: type[ProviderError], retryable: bool) -> None:
    with pytest.raises(ProviderError) as caught:
        OrbCtl(Canned(stderr, 1)).run("vm-1", ["true"], timeout=60)

    assert type(caught.value) is expected
    assert caught.value.machine == "vm-1"
    assert caught.value.retryable is retryable


def test_catalogue_and_table_cover_each_other() -> None:
    rows = {stderr: look_up(said(stderr)).says for stderr, _, _ in [*CREATE, *DELETE, *RUN]}

    assert set(rows.values()) == {entry.says for entry in CATALOGUE} | {""}
    assert {stderr for stderr, says in rows.items() if not says} == {
        "",
        "unexpected EOF",
        "[-32098] never seen",
        "[-32098] key not found",
        "[-32098] create 'vm-1': setup: something that nobody has seen yet",
        "[-32098] create 'other': setup: something that nobody has seen yet",
    }


@pytest.mark.parametrize("stderr", [ABSENT, *ABSENT_TOO])
def test_an_absent_machine_is_no_error_of_delete_and_info(stderr: str) -> None:
    orbctl = OrbCtl(Canned(stderr, 1))

    orbctl.delete("vm-1", timeout=10)
    assert orbctl.info("vm-1", timeout=10) is None


@pytest.mark.parametrize("stderr", [DOWN, HOMELESS, "[-32098] never seen", "[-32098] image not found", ""])
def test_any_other_failure_of_a_question_says_nothing_of_machines(stderr: str) -> None:
    orbctl = OrbCtl(Canned(stderr, 1, stdout="[]"))

    with pytest.raises(EngineUnavailable, match="cannot list OrbStack's machines"):
        orbctl.machines(timeout=10)
    with pytest.raises(EngineUnavailable, match="cannot look at machine 'vm-1'"):
        orbctl.info("vm-1", timeout=10)
    with pytest.raises(EngineUnavailable, match="cannot ask for OrbStack's version"):
        orbctl.version(timeout=10)


@pytest.mark.parametrize("stdout", ["", '[{"name":"a"},{"na'])
def test_an_answer_that_is_cut_short_is_none(stdout: str) -> None:
    orbctl = OrbCtl(Canned(stdout=stdout))

    with pytest.raises(EngineUnavailable, match="no complete answer"):
        orbctl.machines(timeout=10)
    with pytest.raises(EngineUnavailable, match="no complete answer"):
        orbctl.info("vm-1", timeout=10)


def test_a_banner_on_stderr_is_never_taken_for_an_answer() -> None:
    orbctl = OrbCtl(Canned("    │ [OrbStack update available!] │\n", stdout="[]"))

    assert orbctl.machines(timeout=10) == ()


@pytest.mark.parametrize(("stdout", "status"), [("Running\n", 0), ("", 0), ("news!\n\nRunning\n", 0)])
def test_a_running_engine(stdout: str, status: int) -> None:
    OrbCtl(Canned(stdout=stdout, status=status)).require_running(timeout=10)


@pytest.mark.parametrize(
    ("stdout", "stderr", "status", "remedy", "retryable"),
    [
        ("Stopped\n", "", 1, "orbctl start", False),
        ("Stopped\n", "", 0, "orbctl start", False),
        ("", "", 1, "orbctl start", False),
        ("Starting\n", "", 2, "try again", True),
        ("", "", 2, "try again", True),
        ("", HOMELESS, 2, "set HOME", False),
        ("", "", -9, "ended with -9", True),
    ],
)
def test_an_engine_that_does_not_run(
    stdout: str, stderr: str, status: int, remedy: str, retryable: bool
) -> None:
    with pytest.raises(EngineUnavailable, match=remedy) as caught:
        OrbCtl(Canned(stderr, status, stdout=stdout)).require_running(timeout=10)

    assert caught.value.retryable is retryable


def test_a_deadline_that_passes() -> None:
    orbctl = OrbCtl(Canned(raises=TimeoutError("orbctl: no end after 10 s")))

    with pytest.raises(CreateTimeout, match="may still appear"):
        orbctl.create(Spec(name="vm-1"), "ubuntu", timeout=10)
    with pytest.raises(DeleteFailed, match="may go on"):
        orbctl.delete("vm-1", timeout=10)
    with pytest.raises(EngineUnavailable, match="does not answer"):
        orbctl.require_running(timeout=10)
    with pytest.raises(EngineUnavailable, match="does not answer"):
        orbctl.machines(timeout=10)
    with pytest.raises(EngineUnavailable, match="does not answer"):
        orbctl.info("vm-1", timeout=10)
    with pytest.raises(TimeoutError):
        orbctl.run("vm-1", ["true"], timeout=10)


def test_a_create_whose_client_was_killed_may_go_on() -> None:
    with pytest.raises(CreateUnsettled):
        OrbCtl(Canned(status=-signal.SIGKILL)).create(Spec(name="vm-1"), "ubuntu", timeout=10)


def test_a_create_that_could_not_be_asked_for_made_nothing() -> None:
    with pytest.raises(CreateFailed, match="not on PATH"):
        OrbCtl(Canned(raises=EngineUnavailable("not on PATH"))).create(
            Spec(name="vm-1"), "ubuntu", timeout=10
        )


def test_the_words_of_each_command() -> None:
    command = Canned(stdout="[]")
    orbctl = OrbCtl(command)

    orbctl.machines(timeout=10)
    orbctl.create(Spec(name="vm-1"), "ubuntu:24.04", timeout=10)
    orbctl.delete("vm-1", timeout=10)
    orbctl.run("vm-1", ["echo", "--", "-x"], timeout=10, input=b"in", user="root", cwd="/tmp")

    assert command.calls == [
        ["list", "--format", "json"],
        ["create", "ubuntu:24.04", "vm-1"],
        ["delete", "--force", "vm-1"],
        ["run", "--machine=vm-1", "--user=root", "--workdir=/tmp", "echo", "--", "-x"],
    ]
    assert command.inputs[-1] == b"in"


def test_flags_of_create() -> None:
    command = Canned()
    spec = Spec(name="vm-1", arch="amd64", user="me", cpus=2, memory=4 * 1024**3, disk=1024**2 * 1536 - 1)

    OrbCtl(command).create(spec, "ubuntu", timeout=10)

    flags = ["--arch=amd64", "--user=me", "--cpus=2", "--memory=4G", "--disk=1536M"]
    assert command.calls == [["create", *flags, "ubuntu", "vm-1"]]


def test_user_data_is_lent_as_a_file_that_only_we_can_read() -> None:
    lent: list[tuple[str, str, int]] = []

    def look(args: Sequence[str]) -> None:
        path = Path(args[1].removeprefix("--user-data="))
        lent.append((str(path), path.read_text(), stat.S_IMODE(path.stat().st_mode)))

    command = Canned()
    command.seen = look
    OrbCtl(command).create(Spec(name="vm-1", user_data="#cloud-config\n"), "ubuntu", timeout=10)

    ((path, text, mode),) = lent
    assert text == "#cloud-config\n"
    assert mode == 0o600
    assert not os.path.lexists(path)


@pytest.mark.parametrize(("name", "argv"), [("", ["true"]), ("vm-1", []), ("vm-1", ["-u", "root"])])
def test_what_orbctl_would_take_for_something_else_is_never_run(name: str, argv: list[str]) -> None:
    command = Canned()

    with pytest.raises(ProviderError, match="cannot run a command"):
        OrbCtl(command).run(name, argv, timeout=10)
    assert command.calls == []


@pytest.mark.parametrize(
    ("status", "stderr"),
    [(7, ""), (1, "no such file"), (2, ABSENT), (1, f"{ABSENT}\nbut that was the guest")],
)
def test_a_guests_own_failure_is_its_result(status: int, stderr: str) -> None:
    assert OrbCtl(Canned(stderr, status)).run("vm-1", ["sh"], timeout=10).status == status


def test_a_run_whose_client_was_killed_has_no_result() -> None:
    with pytest.raises(ProviderError, match="ended with -9"):
        OrbCtl(Canned(status=-9)).run("vm-1", ["true"], timeout=10)


def test_version() -> None:
    stdout = "Version: 2.0.5 (2000500)\nCommit: cfe47627f138ffd822c958553b0a93eaf2692c71 (v2.0.5)\n"

    assert OrbCtl(Canned(stdout=stdout)).version(timeout=10) == "2.0.5"
