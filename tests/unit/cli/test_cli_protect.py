"""`vmharness protect` and `unprotect`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

Call = Callable[..., tuple[int, str, str]]
Make = Callable[..., None]


def test_a_protected_machine_is_swept_only_after_unprotect(
    call: Call, machine: Make, names: Callable[[], list[str]]
) -> None:
    machine("db", "dead")

    assert call("protect", "db")[0] == 0
    status, out, _ = call("sweep", "--yes")
    assert (status, names()) == (0, ["db"])
    assert "Left: db (fake): protected\n    vmharness unprotect db --backend fake\n" in out
    assert call("unprotect", "db")[0] == 0
    assert call("sweep", "--yes")[0] == 0
    assert names() == []


def test_protect_may_be_repeated(call: Call, machine: Make) -> None:
    machine("db", "stranger")

    results = [json.loads(call("protect", "db", "--json")[1]) for _ in range(2)]

    assert [result["changed"] for result in results] == [True, False]
    assert {result["protected"] for result in results} == {True}


def test_protect_of_a_machine_that_is_not_there(call: Call, machine: Make) -> None:
    machine("db-2", "stranger")

    status, out, err = call("protect", "db")

    assert (status, out) == (1, "")
    assert err.startswith("vmharness: cannot protect 'db': no machine has that name at folder:")


def test_unprotect_of_a_machine_that_is_not_protected(call: Call, machine: Make) -> None:
    machine("db", "stranger")
    call("protect", "db")

    status, _, err = call("unprotect", "d")

    assert status == 1
    assert err.startswith("vmharness: cannot unprotect 'd'; protected at folder:")
    assert err.endswith(": db\n")


def test_protection_is_of_one_engine(
    call: Call, machine: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine("db", "stranger")
    call("protect", "db")
    monkeypatch.setenv("VMHARNESS_FAKE_DIR", str(tmp_path / "other"))

    assert call("unprotect", "db")[0] == 1


def test_unprotect_of_a_machine_that_is_gone(
    call: Call, machine: Make, names: Callable[[], list[str]]
) -> None:
    machine("db", "stranger")
    call("protect", "db")
    call("sweep", "--prefix", "db", "--yes")
    assert names() == ["db"]

    assert call("unprotect", "db")[0] == 0
    assert call("sweep", "--prefix", "db", "--yes")[0] == 0
    assert names() == []
