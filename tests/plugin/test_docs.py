"""What the documentation says is done as it says: files written, commands run, output compared."""

from __future__ import annotations

import doctest
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Template
from typing import Final

import pytest

from vmharness import pytest_plugin

ROOT: Final = Path(__file__).parents[2]
EXAMPLES: Final = ROOT / "docs" / "examples"
BLOCK: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND: Final = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
LIKE: Final = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


@pytest.fixture
def user(tmp_path: Path) -> dict[str, str]:
    """The environment of a user who has just installed vmharness."""
    ours = ("VMHARNESS_", "PYTEST_", "COV_")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    path = os.pathsep.join([str(Path(sys.executable).parent), environ["PATH"]])
    state, cache = str(tmp_path / "state"), str(tmp_path / "cache")
    return {**environ, "PATH": path, "COLUMNS": "100", "XDG_CACHE_HOME": cache, "VMHARNESS_STATE_DIR": state}


def run(command: str, folder: Path, environ: Mapping[str, str]) -> str:
    """Run a command's words, without a shell, and return what it wrote."""
    words = shlex.split(command)
    program = shutil.which(words[0], path=environ["PATH"])
    assert program, f"{words[0]} is not on PATH"
    done = subprocess.run(
        [program, *words[1:]],
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    return done.stdout


def follow(page: Path, folder: Path, environ: Mapping[str, str]) -> Iterator[str]:
    """Do what a page says, and yield what came out otherwise.

    A block whose first line is a comment with a file's name is that file. A block of type `console` holds
    commands and what they print, as in a doctest: `...` stands for anything.
    """
    environ = dict(environ)
    for language, text in BLOCK.findall(page.read_text()):
        name = re.match(r"# (\S+\.\w+)\n", text)
        if name:
            (folder / name[1]).write_text(text)
        if language != "console":
            continue
        for typed, want in COMMAND.findall(text):
            command = Template(typed).substitute(environ, PWD=str(folder))
            if command.startswith("export "):
                variable, _, value = command.removeprefix("export ").partition("=")
                environ[variable] = value
                continue
            got = run(command, folder, environ)
            if not doctest.OutputChecker().check_output(want, got, LIKE):
                yield f"$ {command}\n--- expected\n{want}--- got\n{got}"


@pytest.mark.parametrize(
    "page",
    [
        "docs/tutorial.md",
        "docs/reference/library.md",
        "docs/how-to/run-orbstack-suites-anywhere.md",
        "docs/how-to/verify-a-backend.md",
        "docs/how-to/test-your-error-handling.md",
    ],
)
def test_a_page_tells_the_truth(page: str, folder: Path, user: dict[str, str]) -> None:
    assert list(follow(ROOT / page, folder, user)) == []


@pytest.mark.parametrize("page", ["README.md", "docs/reference/fixtures.md"])
def test_a_page_tells_the_truth_whatever_the_backend(page: str, folder: Path, user: dict[str, str]) -> None:
    assert list(follow(ROOT / page, folder, {**user, "VMHARNESS_BACKEND": "fake"})) == []


def test_a_page_that_lies_is_found_out(tmp_path: Path, folder: Path, user: dict[str, str]) -> None:
    page = tmp_path / "page.md"
    page.write_text("```console\n$ vmharness --version\nvmharness of long ago\n```\n")

    (lie,) = follow(page, folder, user)

    assert "--- expected\nvmharness of long ago\n--- got\nvmharness 0" in lie


def test_every_fixture_is_explained() -> None:
    explained = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/reference/fixtures.md").read_text(), re.M))

    assert set(pytest_plugin.__all__) - {"VMFactory"} == explained


# -- the examples of the how-to guides


@pytest.fixture
def with_examples(tmp_path: Path, user: dict[str, str]) -> dict[str, str]:
    """The environment of a user who has installed the examples."""
    site = tmp_path / "site"
    info = site / "vmharness_folder-1.dist-info"
    shutil.copytree(EXAMPLES, site)
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: vmharness-folder\nVersion: 1\n")
    lines = (site / "pyproject.toml").read_text().splitlines()[2:]
    entry_points = (
        "\n".join(lines).replace('[project.entry-points."', "[").replace('"]', "]").replace('"', "")
    )
    (info / "entry_points.txt").write_text(entry_points)
    return {**user, "PYTHONPATH": str(site)}


def test_the_example_backend_keeps_the_contract(folder: Path, with_examples: dict[str, str]) -> None:
    said = run(f"pytest -q {EXAMPLES / 'test_conformance.py'} -p no:cacheprovider", folder, with_examples)

    assert re.search(r"\d\d passed", said), said
    assert "failed" not in said
    assert "error" not in said


def test_the_example_plugin_refuses_a_fourth_machine(folder: Path, with_examples: dict[str, str]) -> None:
    environ = {
        **with_examples,
        "TMPDIR": str(folder),
        "VMHARNESS_BACKEND": "folder",
        "VMHARNESS_LIFECYCLE": "teardown,budget",
    }
    (folder / "test_budget.py").write_text(
        "def test_three(vm_factory):\n    [vm_factory() for _ in range(3)]\n\n"
        "def test_four(vm_factory):\n    [vm_factory() for _ in range(4)]\n"
    )

    said = run("pytest test_budget.py", folder, environ)

    assert "3 machines are there already" in said
    assert "machines: 6 created, 6 deleted, 0 swept, 0 left" in said
    assert "1 failed, 1 passed" in said
    assert (folder / "machines.log").read_text().count("wanted -> running") == 6
    assert list((folder / "folder-machines").iterdir()) == []
