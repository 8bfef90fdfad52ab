"""What users import: named, sorted, documented, and errors that survive the way between processes."""

from __future__ import annotations

import ast
import importlib
import inspect
import pickle
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, Final

import pytest

import vmharness
from public_names import KEPT, PUBLIC, lines
from vmharness import errors

ROOT: Final = Path(__file__).parents[2]
# They are loaded by a path or a name, or hold nothing; nobody imports from them.
WITHOUT_NAMES: Final = (
    "backends/vmharness_fake/__main__.py",
    "backends/vmharness_orbctl/__main__.py",
    "harness/vmharness/_reaper/__init__.py",
    "harness/vmharness/_reaper/wait.py",
    "harness/vmharness/_recording/__init__.py",
    "harness/vmharness/_recording/front.py",
    "harness/vmharness/cli/demo_suite/conftest.py",
    "harness/vmharness/cli/demo_suite/test_killed.py",
    "harness/vmharness/cli/demo_suite/test_machines.py",
    "harness/vmharness/lifecycle/__init__.py",
)


@pytest.fixture(params=PUBLIC)
def module(request: pytest.FixtureRequest) -> ModuleType:
    return importlib.import_module(request.param)


def rank(name: str) -> tuple[int, str]:
    """Constants first, then classes, then functions."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2), name


def is_pytests(name: str, value: object) -> bool:
    """Whether pytest finds it by itself: a hook or a fixture."""
    return name.startswith("pytest_") or "fixture" in type(value).__name__.lower()


def test_every_module_without_an_underscore_is_public() -> None:
    folder = Path(vmharness.__file__).parent
    found = {
        f"vmharness.{path.stem}"
        for path in folder.iterdir()
        if not path.name.startswith("_") and (path.suffix == ".py" or (path / "__init__.py").is_file())
    }

    # Lifecycle plugins are loaded by name; nobody imports them.
    assert found - {"vmharness.lifecycle"} == {*PUBLIC} - {"vmharness"}


def test_all_is_sorted(module: ModuleType) -> None:
    assert list(module.__all__) == sorted(module.__all__, key=rank)


def test_all_names_what_is_there(module: ModuleType) -> None:
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


def declared(path: Path) -> list[str] | None:
    """Return a module's `__all__`, None if it has none; it is read, not run."""
    for node in ast.parse(path.read_text()).body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            assert isinstance(node, ast.Assign)
            return list(ast.literal_eval(node.value))
    return None


def test_every_module_says_what_others_may_import() -> None:
    modules = {
        path.relative_to(ROOT).as_posix(): declared(path)
        for folder in ("harness", "backends")
        for path in sorted((ROOT / folder).rglob("*.py"))
    }

    assert {name for name, names in modules.items() if names is None} == set(WITHOUT_NAMES)
    assert [name for name, names in modules.items() if names != (names and sorted(names, key=rank))] == []


def test_what_is_public_is_what_is_written_down() -> None:
    """A name or parameter that goes breaks users: docs/reference/stability.md says how that is done."""
    kept = KEPT.read_text().splitlines()

    assert list(lines()) == kept, "if that is meant, run python tests/support/public_names.py"


def test_all_is_complete(module: ModuleType) -> None:
    defined = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and getattr(value, "__module__", "") == module.__name__
        and not is_pytests(name, value)
    }
    watches_the_run = {"Run"} if module.__name__ == "vmharness.pytest_plugin" else set[str]()

    assert defined - watches_the_run <= set(module.__all__)


def test_the_package_knows_no_other_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = vmharness.nonsense

    assert "Session" in vmharness.__all__


def things(module: ModuleType) -> Iterator[tuple[str, object]]:
    """Yield all that is public in a module, and the public methods and properties of its classes."""
    for name in module.__all__:
        value = getattr(module, name)
        if not callable(value):
            continue  # a constant: its module says what it is
        yield name, value
        if inspect.isclass(value):
            members: dict[str, object] = dict(vars(value))
            for key, member in members.items():
                kind = isinstance(member, FunctionType | property | classmethod | staticmethod)
                if kind and not key.startswith("_"):
                    yield f"{name}.{key}", member


def test_everything_is_documented(module: ModuleType) -> None:
    assert (module.__doc__ or "").strip()
    assert [name for name, thing in things(module) if not (getattr(thing, "__doc__", "") or "").strip()] == []


def example(name: str) -> Exception:
    kind: type[Exception] = getattr(errors, name)
    if issubclass(kind, errors.ProviderError):
        return kind("why", backend="some", machine="vm-1", retryable=kind is not errors.Busy)
    if issubclass(kind, errors.CleanupFailed):
        return kind("left", [example("DeleteFailed"), example("Busy")])
    return kind("why")


def parts(error: Exception) -> list[tuple[type[Exception], str, dict[str, Any]]]:
    """Return all that an error, and each one in it, consists of."""
    inner = error.exceptions if isinstance(error, errors.CleanupFailed) else ()
    here = (type(error), str(error), vars(error))
    return [here, *(part for one in inner for part in parts(one))]


@pytest.mark.parametrize("name", errors.__all__)
def test_errors_pickle_with_their_attributes(name: str) -> None:
    error = example(name)

    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - made on the line itself

    assert parts(again) == parts(error)


def test_the_tree_that_is_drawn_is_the_tree() -> None:
    drawn = errors.__doc__ or ""

    assert [name for name in errors.__all__ if name not in drawn] == []
    for name in errors.__all__:
        assert issubclass(getattr(errors, name), errors.VMHarnessError)
