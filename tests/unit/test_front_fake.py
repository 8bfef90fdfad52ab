"""The fake engine's arguments, as its front-end reads them, judged by the command's own parser."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from vmharness_fake import FolderFakeProvider, FolderStore
from vmharness_fake import _front as front


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("create web", "web"),
        ("create --image alpine:3.20 web --timeout 5", "web"),
        ("create --dir=/x -- web", "web"),
        ("create", None),
        ("create a b", None),
        ("delete web", None),
        ("list", None),
    ],
)
def test_recognise_create(line: str, name: str | None) -> None:
    assert front.recognise_create(line.split()) == name


def test_recognise_delete() -> None:
    assert front.recognise_delete(["delete", "--dir", "x", "web"]) == ["web"]
    assert front.recognise_delete(["create", "web"]) == []


def test_elsewhere() -> None:
    assert front.elsewhere(["create", "web"], "folder:/x") == ""
    assert front.elsewhere(["create", "--dir", "/x", "web"], "folder:/x") == ""
    assert front.elsewhere(["create", "--dir=/y", "web"], "folder:/x") != ""


def test_what_it_writes_is_what_the_command_reads(tmp_path: Path) -> None:
    engine = FolderFakeProvider(FolderStore(tmp_path))
    args = front.with_labels(["create", "--dir", str(tmp_path), "web"], {"a": "x=y"})

    subprocess.run([sys.executable, "-m", "vmharness_fake", *args], check=True)
    listing = subprocess.run(
        [sys.executable, "-m", "vmharness_fake", *front.look_args(), "--dir", str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
    )

    (machine,) = engine.list()
    assert (machine.name, machine.labels) == ("web", {"a": "x=y"})
    assert front.seen(listing.stdout, ["other", "web"]) == ["web"]
