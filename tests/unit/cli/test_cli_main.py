"""The command as a whole: help, errors and exit statuses."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version

import pytest

Call = Callable[..., tuple[int, str, str]]


def test_help_names_every_command(call: Call) -> None:
    status, out, _ = call("--help")

    assert status == 0
    for command in ("demo", "backends", "doctor", "list", "run", "sweep", "protect", "unprotect"):
        assert f" {command} " in out


@pytest.mark.parametrize("command", ["demo", "backends", "doctor", "list", "sweep", "protect", "unprotect"])
def test_every_command_has_json_and_help(call: Call, command: str) -> None:
    status, out, _ = call(command, "--help")

    assert status == 0
    assert "--json" in out


def test_version(call: Call) -> None:
    assert call("--version") == (0, f"vmharness {version('vmharness')}\n", "")


@pytest.mark.parametrize("args", [["nope"], ["list", "--nope"], ["protect"], ["sweep", "now"]])
def test_a_wrong_call_is_status_2(call: Call, args: list[str]) -> None:
    status, out, err = call(*args)

    assert (status, out) == (2, "")
    assert "Usage: vmharness" in err


@pytest.mark.parametrize(
    "args", [["list"], ["protect", "x"], ["unprotect", "x"], ["sweep", "--yes"], ["demo"]]
)
def test_an_unknown_backend_is_one_message(call: Call, args: list[str]) -> None:
    status, out, err = call(*args, "--backend", "fke")

    assert (status, out) == (1, "")
    assert err.startswith("vmharness: unknown backend 'fke'; installed: ")
    assert err.rstrip().endswith("did you mean 'fake'?")
    assert "Traceback" not in err


def test_a_malformed_setting_is_one_message(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VMHARNESS_CREATE_TIMEOUT", "soon")

    status, _, err = call("list")

    assert status == 1
    assert err.startswith("vmharness: cannot use VMHARNESS_CREATE_TIMEOUT = 'soon'")


def test_help_loads_no_plugin_and_no_pytest() -> None:
    code = (
        "import sys; from vmharness.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "unwanted = {'stevedore', 'pytest', 'vmharness._session'} & {*sys.modules}\n"
        "sys.exit(' '.join(unwanted) or 0)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
