"""The house as drawn: imports go down only, and the framework names no engine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).parents[2]
FOLDERS: Final = ("harness", "backends")
SESSION: Final = "harness/vmharness/_session.py"
TEARDOWN: Final = "harness/vmharness/lifecycle/teardown.py"

# Contract, file, and the import that it must not have.
BREAKS: Final = (
    ("floors", "harness/vmharness/_ledger.py", "import vmharness._session"),
    ("floors", "harness/vmharness/_cleanup.py", "import vmharness._ledger"),
    ("floors", "harness/vmharness/errors.py", "import vmharness._model"),
    ("floors", "harness/vmharness/_new.py", "import vmharness.errors"),
    ("lifecycle-sees-protocols", TEARDOWN, "import vmharness._cleanup"),
    ("lifecycle-apart", TEARDOWN, "import vmharness.lifecycle.sweep"),
    ("no-backend", SESSION, "import vmharness_fake"),
    ("no-backend", SESSION, "import docker"),
    ("backends-public", "backends/vmharness_docker/__init__.py", "import vmharness._model"),
    ("backends-public", "backends/vmharness_fake/__init__.py", "from vmharness import Spec"),
    ("backends-apart", "backends/vmharness_incus/__init__.py", "import vmharness_fake"),
    ("stevedore", SESSION, "import stevedore.driver"),
    ("stevedore", "backends/vmharness_orbstack/__init__.py", "import stevedore"),
    ("pytest", SESSION, "import pytest"),
    ("terminal", SESSION, "import rich.table"),
)


def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def contracts() -> dict[str, dict[str, Any]]:
    return {contract["id"]: contract for contract in pyproject()["tool"]["importlinter"]["contracts"]}


def lint_imports(root: Path, *args: str) -> tuple[int, str]:
    """Check the tree under a folder; return the exit status and what was said."""
    run = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            run,
            "--config",
            str(ROOT / "pyproject.toml"),
            "--no-cache",
            "--no-logo",
            *args,
        ],
        cwd=root,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(str(root / folder) for folder in FOLDERS)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout


def test_the_house_stands() -> None:
    status, said = lint_imports(ROOT)

    assert "0 broken" in said, said
    assert status == 0


@pytest.mark.parametrize(("contract", "file", "line"), BREAKS, ids=[f"{b[0]}-{b[2]}" for b in BREAKS])
def test_a_forbidden_import_breaks_its_contract(tmp_path: Path, contract: str, file: str, line: str) -> None:
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / file).open("a") as module:
        module.write(f"\n{line}\n")

    status, said = lint_imports(tmp_path, "--contract", contract)

    assert "1 broken" in said, said
    assert status == 1


def test_every_contract_is_broken_once() -> None:
    assert {contract for contract, _, _ in BREAKS} == set(contracts())


def test_every_backend_is_linted() -> None:
    backends = {path.name for path in (ROOT / "backends").iterdir() if path.name.startswith("vmharness_")}

    assert {*pyproject()["tool"]["importlinter"]["root_packages"]} == {"vmharness", *backends}
    assert {*contracts()["backends-public"]["source_modules"]} == backends
    assert {*contracts()["backends-apart"]["modules"]} == backends
    assert backends <= {*contracts()["no-backend"]["forbidden_modules"]}


def test_lifecycle_plugins_see_what_is_named_here_and_no_more() -> None:
    package = ROOT / "harness" / "vmharness"
    modules = {
        f"vmharness.{path.stem}"
        for path in package.iterdir()
        if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    seen = {f"vmharness.{name}" for name in ("__init__", "_clock", "_model", "_settings", "errors", "hooks")}

    forbidden = {*contracts()["lifecycle-sees-protocols"]["forbidden_modules"]}

    # Of the reaper they may start one, and not be one.
    assert forbidden == modules - seen - {"vmharness.lifecycle", "vmharness._reaper"} | {
        "vmharness._reaper.reap"
    }


# What the framework may say of an engine all the same: file, text, and why.
NAMED: Final = (
    ("_naming.py", "OrbStack's 40 characters", "a comment: where the length of names comes from"),
    ("cli/_run.py", '_REPLACED: Final = "orbctl"', "the command that a stand-in takes the place of"),
    ("_threads.py", "cost LXD as much as one", "a comment: where the number of threads comes from"),
)
ENGINE: Final = re.compile(
    r"docker|incus|lxd|lxc|orbstack|orbctl|\bfake\b|(?-i:vmharness_[a-z])", re.IGNORECASE
)
FAKE: Final = re.compile(r"\bfake\b", re.IGNORECASE)


def test_the_framework_names_no_engine() -> None:
    """What is said of an engine, errors and hints included, comes from its backend."""
    package = ROOT / "harness" / "vmharness"
    found: list[str] = []
    for path in sorted(package.rglob("*.py")):
        where = path.relative_to(package).as_posix()
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            for file, text, _ in NAMED:
                if file == where:
                    line = line.replace(text, "")
            if where.startswith("cli/_demo"):
                line = FAKE.sub("", line)  # where no engine answers, the demo runs on the fake, and says so
            if ENGINE.search(line):
                found.append(f"{where}:{number}: {line.strip()}")

    assert found == []


def test_nothing_is_allowed_that_is_not_said() -> None:
    package = ROOT / "harness" / "vmharness"

    assert [text for file, text, _ in NAMED if text not in (package / file).read_text()] == []
