"""What the documentation says is done as it says: files written, commands run, output compared."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Final

import pytest

from pages import ROOT, follow, run, user_environ
from vmharness import pytest_plugin

EXAMPLES: Final = ROOT / "docs" / "examples"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


@pytest.fixture
def user(tmp_path: Path) -> dict[str, str]:
    """The environment of a user who has just installed vmharness."""
    return user_environ(tmp_path)


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
