"""A third party's backend and lifecycle plugins, installed as wheels beside vmharness', on a real libvirt.

The how-to pages are followed to the letter, and what they installed is then used further. What is left is
read from libvirt's own command.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from pages import ROOT, follow, run, user_environ
from processes import processes

# Of each command, in seconds: the conformance kit boots some dozens of machines on an emulated processor.
PATIENCE_S = 1200.0

Virsh = Callable[..., str]
Event = Mapping[str, Any]


@pytest.fixture(scope="module")
def newcomer(libvirt_engine: Virsh) -> Iterator[tuple[Path, dict[str, str]]]:
    """Return the folder of somebody new to vmharness, and his environment; pip finds vmharness' own wheel."""
    with tempfile.TemporaryDirectory(prefix="vmh.", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)  # QEMU is nobody, and must get at the image
        wheels = folder / "wheels"
        subprocess.run(
            [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", wheels, ROOT],
            check=True,
            timeout=PATIENCE_S,
        )
        environ = {**user_environ(folder), "PIP_FIND_LINKS": str(wheels), "REPOSITORY": str(ROOT)}
        environ.pop("LIBVIRT_IMAGES", None)
        yield folder, environ


@pytest.fixture(scope="module")
def lies(newcomer: tuple[Path, dict[str, str]]) -> Mapping[str, Sequence[str]]:
    """Follow both pages in one folder, and return of each what came out otherwise."""
    folder, environ = newcomer
    pages = ("write-a-backend.md", "write-a-lifecycle-plugin.md")
    return {
        page: [*follow(ROOT / "docs/how-to" / page, folder, environ, timeout=PATIENCE_S)] for page in pages
    }


@pytest.fixture
def installed(
    newcomer: tuple[Path, dict[str, str]], lies: Mapping[str, Sequence[str]], tmp_path: Path
) -> tuple[Path, dict[str, str]]:
    """Return an empty folder, and an environment in which all that the pages install is there."""
    folder, environ = newcomer
    path = f"{folder / 'venv/bin'}{os.pathsep}{environ['PATH']}"
    return tmp_path, {
        **environ,
        "PATH": path,
        "LIBVIRT_IMAGES": str(folder / "images"),
        "VMHARNESS_BACKEND": "libvirt",
        "VMHARNESS_STATE_DIR": str(tmp_path / "state"),
        "VMHARNESS_LIFECYCLE": "+eventlog",
        "VMHARNESS_EVENTLOG": str(tmp_path / "events"),
    }


@pytest.fixture
def stranger(libvirt_engine: Virsh) -> Iterator[str]:
    """Define a domain that isn't ours, and prove at the end that it is all that there is."""
    assert names(libvirt_engine) == []
    name = "vmh-plain-0-aaaaaaaaaa"  # like ours
    xml = f"<domain type='qemu'><name>{name}</name><memory>8192</memory><os><type>hvm</type></os></domain>"
    subprocess.run(["virsh", "define", "/dev/stdin"], input=xml, text=True, check=True, capture_output=True)
    yield name
    try:
        assert names(libvirt_engine) == [name]
    finally:
        libvirt_engine("undefine", name)


def names(virsh: Virsh) -> list[str]:
    """Return the names of all domains, running or not."""
    return virsh("list", "--all", "--name").split()


def events(environ: Mapping[str, str]) -> list[Event]:
    """Return what was logged so far."""
    path = Path(environ["VMHARNESS_EVENTLOG"])
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def eventually(condition: Callable[[], object], seen: Callable[[], object]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + PATIENCE_S / 10
    while not condition():
        assert time.monotonic() < deadline, seen()
        time.sleep(0.05)


@pytest.mark.timeout(PATIENCE_S)
@pytest.mark.parametrize("page", ["write-a-backend.md", "write-a-lifecycle-plugin.md"])
def test_the_libvirt_pages_tell_the_truth(lies: Mapping[str, Sequence[str]], page: str) -> None:
    assert lies[page] == []


def test_libvirt_is_found_in_an_environment_of_wheels(installed: tuple[Path, dict[str, str]]) -> None:
    folder, environ = installed
    where = run('python -c "import vmharness; print(vmharness.__file__)"', folder, environ)
    listing = run("vmharness backends --json", folder, {**environ, "PYTHONWARNINGS": "ignore"})

    assert "/venv/lib/" in where
    (backend,) = [one for one in json.loads(listing) if one["name"] == "libvirt"]
    assert backend["distribution"] == "vmharness-libvirt 1.0.0"
    assert (backend["loads"], backend["answers"], backend["error"]) == (True, True, "")


def test_a_run_on_libvirt_is_logged_and_leaves_nothing(
    installed: tuple[Path, dict[str, str]], stranger: str
) -> None:
    folder, environ = installed
    (folder / "test_it.py").write_text(
        "def test_one(vm): assert vm.run(['uname', '-m']).status == 0\n"
        "def test_two(vm_factory): vm_factory(), 1 / 0\n"
    )

    said = run("pytest test_it.py", folder, environ, timeout=PATIENCE_S)

    assert "machines: 2 created, 2 deleted, 0 swept, 0 left" in said
    assert "1 failed, 1 passed" in said
    told = events(environ)
    assert (told[0]["event"], told[-1]["event"]) == ("opened", "closed")
    became = [(event["backend"], event["now"]) for event in told if event["event"] == "changed"]
    assert became.count(("libvirt", "running")) == became.count(("libvirt", "gone")) == 2


def test_a_run_on_libvirt_that_is_killed_leaves_nothing(
    installed: tuple[Path, dict[str, str]], libvirt_engine: Virsh, stranger: str
) -> None:
    folder, environ = installed
    (folder / "test_it.py").write_text("import time\ndef test_one(vm): time.sleep(1000)\n")
    program = shutil.which("pytest", path=environ["PATH"])
    assert program
    with processes() as started:
        argv = ["env", "-i", *(f"{name}={value}" for name, value in environ.items())]
        killed = started.start([*argv, program, "test_it.py"], cwd=folder)
        eventually(
            lambda: any(event.get("now") == "running" for event in events(environ)), lambda: events(environ)
        )
        assert len(names(libvirt_engine)) == 2
        killed.send_signal(signal.SIGKILL)
        killed.wait()

        eventually(lambda: names(libvirt_engine) == [stranger], lambda: names(libvirt_engine))

    assert "closed" not in [event["event"] for event in events(environ)]


def test_a_machine_of_libvirt_goes_at_its_tests_end_with_teardown_replaced(
    installed: tuple[Path, dict[str, str]], stranger: str
) -> None:
    folder, environ = installed
    (folder / "test_it.py").write_text(
        "import subprocess\n"
        "def names():\n"
        "    return subprocess.check_output(['virsh', 'list', '--all', '--name'], text=True).split()\n"
        "def test_one(vm): assert vm.name in names()\n"
        f"def test_two(): assert names() == ['{stranger}']\n"
    )

    said = run(
        "pytest test_it.py",
        folder,
        {**environ, "VMHARNESS_LIFECYCLE": "-teardown,+logged-teardown"},
        timeout=PATIENCE_S,
    )

    assert "2 passed" in said, said
    assert "1 created, 1 deleted, 0 swept, 0 left" in said
