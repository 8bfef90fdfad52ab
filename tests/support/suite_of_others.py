"""A suite for OrbStack that others wrote: fetched from PyPI, made to run here, and freed of its own clean-up.

Nothing else of it is changed. It knows nothing of vmharness.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Final

__all__ = ["REQUIREMENT", "fetch", "without_its_cleanup"]

REQUIREMENT: Final = "pyinfra-orbstack==0.11.0"

# What of it deletes machines, other than as the thing that is tested.
_CLEANUP: Final = frozenset(
    (
        *("auto_cleanup_test_vm", "cleanup_orphaned_test_vms", "cleanup_test_vms", "cleanup_worker_vms"),
        *("_cleanup_test_vm", "pytest_sessionfinish", "teardown_method", "track_test_vm"),
    )
)
# It runs on OrbStack's own system only, by its own check.
_SYSTEM: Final = ('platform.system() != "Darwin"', 'platform.system() == "Darwin"')


def fetch(folder: Path) -> Path:
    """Download the suite into a folder; return the folder that it runs in."""
    download = ["pip", "download", "--quiet", "--no-deps", "--no-binary", "pyinfra-orbstack", REQUIREMENT]
    subprocess.run([sys.executable, "-m", *download, "--dest", str(folder)], check=True)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    (suite,) = (path for path in folder.iterdir() if path.is_dir())
    for path in suite.glob("tests/*.py"):
        path.write_text(path.read_text().replace(*_SYSTEM))
    return suite


def without_its_cleanup(suite: Path) -> int:
    """Take the suite's own clean-up out of it; return how many pieces that were."""
    taken = 0
    for path in suite.glob("tests/*.py"):
        cut = _Cut()
        tree = cut.visit(ast.parse(path.read_text()))
        if cut.taken:
            path.write_text(ast.unparse(tree))
            taken += cut.taken
    return taken


class _Cut(ast.NodeTransformer):
    """Takes out functions that clean up, and statements that call them or leave them for later."""

    def __init__(self) -> None:
        self.taken = 0

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST | None:
        if node.name in _CLEANUP:
            self.taken += 1
            return None
        return self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        called = ast.unparse(node.value)
        if isinstance(node.value, ast.Call) and any(name in called for name in _CLEANUP):
            self.taken += 1
            return None
        return node
