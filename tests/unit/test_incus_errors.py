"""Every known sentence of Incus and LXD becomes one of our errors; those marked 5.0 were seen on LXD 5.0."""

from __future__ import annotations

import pytest

from vmharness.errors import (
    Busy,
    CreateFailed,
    CreateUnsettled,
    DeleteFailed,
    EngineUnavailable,
    NameTaken,
    ProviderError,
)
from vmharness_incus._errors import KNOWN, Doing, Means, means, said, translate

SENTENCES = [
    ("not found", Means.ABSENT),
    ("Instance not found", Means.ABSENT),  # 5.0
    ('Failed checking instance exists "local:vm-1": Instance not found', Means.ABSENT),  # 5.0
    ('Failed deleting instance "vm-1" in project "default": Instance not found', Means.ABSENT),
    (
        'Failed creating instance record: Add instance info to the database: This "instances" entry already '
        "exists",
        Means.TAKEN,
    ),  # 5.0
    (
        'Failed creating instance record: Add instance info to the database: Failed to create "instances" '
        "entry: UNIQUE constraint failed: instances.project_id, instances.name",
        Means.TAKEN,
    ),
    ('Instance "vm-1" already exists', Means.TAKEN),
    ('Failed creating instance record: Instance is busy running a "create" operation', Means.CREATING),  # 5.0
    (
        'Failed to create instance delete operation: Instance is busy running a "create" operation',
        Means.CREATING,
    ),  # 5.0
    ('Failed to create instance delete operation: Instance is busy running a "stop" operation', Means.BUSY),
    ('Failed to create instance start operation: Instance is busy running a "delete" operation', Means.BUSY),
    ("Instance is busy running a restart operation", Means.BUSY),
    (
        "Failed to create instance delete operation: A matching non-reusable operation has now succeeded",
        Means.BUSY,
    ),  # 5.0
    ("Instance is running", Means.BUSY),
    ("The instance is currently running, stop it first or pass --force", Means.BUSY),  # 5.0
    ("Stopping the instance failed: The instance is already stopped", Means.BUSY),
    ("Image not found", Means.NO_IMAGE),  # 5.0
    (
        "Failed instance creation: Failed getting remote image info: Failed getting image: Failed parsing "
        'stream: Get "https://images.linuxcontainers.org/streams/v1/index.json": lookup '
        "images.linuxcontainers.org on 10.0.0.53:53: no such host",
        Means.NO_IMAGE,
    ),  # 5.0
    ('The remote "foo" doesn\'t exist', Means.NO_IMAGE),  # 5.0
    ("Asked for a VM but image is of type container", Means.NO_IMAGE),  # 5.0
    ("Instance is not running", Means.NOT_RUNNING),  # 5.0
    ("VM agent isn't currently running", Means.NO_AGENT),
    ("Command not found", Means.NOT_STARTED),  # 5.0
    ("Command not executable", Means.NOT_STARTED),  # 5.0
    ("Not Found", Means.NO_FILE),  # 5.0
    ("file does not exist", Means.NO_FILE),  # Incus 6.0
    (
        'Get "http://unix.socket/1.0": dial unix /d/unix.socket: connect: no such file or directory',
        Means.UNREACHED,
    ),  # 5.0
    ('Get "http://unix.socket/1.0": dial unix /d/unix.socket: connect: connection refused', Means.UNREACHED),
    ('Get "http://unix.socket/1.0": dial unix /d/unix.socket: connect: permission denied', Means.UNREACHED),
    ('Get "https://10.0.0.5:8443/1.0": dial tcp 10.0.0.5:8443: connect: no route to host', Means.UNREACHED),
    ("This client hasn't been configured to use a remote server yet.", Means.UNREACHED),
    ("not authorized", Means.UNREACHED),
    ("Missing event connection with target cluster member", Means.UNREACHED),  # 5.0
    ("websocket: close 1006 (abnormal closure): unexpected EOF", Means.LOST),  # 5.0
    ('Get "http://unix.socket/1.0": read unix @->/d/unix.socket: read: connection reset by peer', Means.LOST),
    ("unexpected end of JSON input", Means.LOST),  # 5.0
    ("LXD is shutting down", Means.LOST),
    ("Failed creating instance record: Invalid CPU limit syntax", Means.OTHER),  # 5.0
    ("Invalid instance name: Name can only contain alphanumeric and hyphen characters", Means.OTHER),  # 5.0
    ("Container is protected", Means.OTHER),  # 5.0
    ('Cannot override config for device "root": Device not found in profile devices', Means.OTHER),  # 5.0
    ("Failed to run: /usr/bin/lxd forkstart vm-1 /d/containers /d/logs/lxc.conf: exit status 1", Means.OTHER),
    ("Check if project has images: fetch project: Project not found", Means.OTHER),  # 5.0
]


@pytest.mark.parametrize(("sentence", "meaning"), SENTENCES)
def test_each_known_sentence_has_its_meaning(sentence: str, meaning: Means) -> None:
    assert means(sentence)[0] is meaning


def test_each_pattern_knows_a_sentence() -> None:
    unused = [
        pattern.pattern
        for pattern, _, _ in KNOWN
        if not any(pattern.search(sentence) for sentence, _ in SENTENCES)
    ]

    assert unused == []


@pytest.mark.parametrize(
    ("doing", "meaning", "kind"),
    [
        *[(Doing.ASK, meaning, EngineUnavailable) for meaning in Means],
        *[(Doing.PREPARE, meaning, CreateFailed) for meaning in Means],
        (Doing.CREATE, Means.TAKEN, NameTaken),
        (Doing.CREATE, Means.LOST, CreateUnsettled),
        (Doing.CREATE, Means.UNREACHED, CreateUnsettled),
        (Doing.CREATE, Means.NO_IMAGE, CreateFailed),
        (Doing.CREATE, Means.OTHER, CreateFailed),
        (Doing.DELETE, Means.CREATING, Busy),
        (Doing.DELETE, Means.BUSY, Busy),
        (Doing.DELETE, Means.UNREACHED, EngineUnavailable),
        (Doing.DELETE, Means.LOST, DeleteFailed),
        (Doing.DELETE, Means.OTHER, DeleteFailed),
        (Doing.RUN, Means.NOT_RUNNING, ProviderError),
        (Doing.RUN, Means.UNREACHED, EngineUnavailable),
    ],
)
def test_each_meaning_has_its_error(doing: Doing, meaning: Means, kind: type[ProviderError]) -> None:
    sentence = next(sentence for sentence, of in SENTENCES if of is meaning)

    error = translate(sentence, doing, "do it", backend="lxd", machine="vm-1")

    assert type(error) is kind
    assert (error.backend, error.machine) == ("lxd", "vm-1")
    assert str(error).startswith(f"cannot do it: {sentence}")


@pytest.mark.parametrize(
    ("sentence", "what_to_do"),
    [
        ("dial unix /d/unix.socket: connect: permission denied", "let this user use the engine"),
        ("dial unix /d/unix.socket: connect: no such file or directory", "start the engine"),
        ("Container is protected", "unset security.protection.delete"),
    ],
)
def test_error_says_what_to_do(sentence: str, what_to_do: str) -> None:
    assert what_to_do in str(translate(sentence, Doing.DELETE, "do it", backend="lxd"))


@pytest.mark.parametrize(
    ("stderr", "sentence"),
    [
        ("Error: Image not found\n", "Image not found"),
        (
            "\nThe instance you are starting doesn't have any network attached to it.\n  To create a"
            "\n\nError: Failed to run: forkstart\nTry `lxc info --show-log local:vm-1` for more info\n",
            "Failed to run: forkstart",
        ),
        ("Remove vm-1 (yes/no): Error: User aborted delete operation\n", "User aborted delete operation"),
        ("panic: oops\n", "panic: oops"),
        ("", "nothing"),
    ],
)
def test_sentence_is_found_in_what_the_command_wrote(stderr: str, sentence: str) -> None:
    assert said(stderr) == sentence
