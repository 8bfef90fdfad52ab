"""What the conformance kit finds missing in a provider's interface, before it calls anything."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from vmharness import provider as interface
from vmharness.testing import FaultyProvider
from vmharness.testing._interface import PROTOCOLS, misfits
from vmharness_fake import FakeProvider, MemoryStore


def provider_with(verb: str, parameters: str) -> FakeProvider:
    """Return a provider that is right but for a method with these parameters."""
    method = eval(f"lambda {parameters}: None")  # noqa: S307 - the texts below
    odd: type[FakeProvider] = type("Odd", (FakeProvider,), {verb: method})
    return odd(MemoryStore())


def test_a_right_provider_and_one_around_it_lack_nothing() -> None:
    provider = FakeProvider(MemoryStore())

    assert misfits(provider) == []
    assert misfits(FaultyProvider(provider, "create", "fails")) == []


@pytest.mark.parametrize(
    ("verb", "parameters", "fault"),
    [
        ("create", "self, spec", "create(spec) can't be called as create(spec, *, timeout): "),
        ("exists", "self", "exists() can't be called as exists(name): "),
        ("list", "self, states", "list(states) can't be called as list(): "),
        ("delete", "self, name, timeout_s=5", "got an unexpected keyword argument 'timeout'"),
        ("run", "self, name, argv, *, timeout", "got an unexpected keyword argument 'input'"),
        ("start", "self, name", "start(name) can't be called as start(name, *, timeout): "),
        ("inspect", "self", "inspect() can't be called as inspect(name): "),
    ],
)
def test_a_method_that_cannot_be_called_is_told_how_it_will_be(
    verb: str, parameters: str, fault: str
) -> None:
    (told,) = misfits(provider_with(verb, parameters))

    assert fault in told


@pytest.mark.parametrize(
    "parameters",
    ["self, name, timeout", "self, machine, *, timeout, force=False", "self, *args, **kwargs"],
)
def test_a_method_that_can_be_called_may_look_otherwise(parameters: str) -> None:
    assert misfits(provider_with("delete", parameters)) == []


def test_what_is_no_method_is_told() -> None:
    provider: Any = type("Odd", (FakeProvider,), {"delete": "gone"})(MemoryStore())

    assert misfits(provider) == ["'delete' is 'gone', and no method"]


def test_what_is_missing_is_named() -> None:
    class Bare:
        endpoint = "here"

        def list(self) -> list[Any]:
            return []

    bare: Any = Bare()

    assert misfits(bare) == [f"the provider has no {part!r}" for part in ("create", "delete", "exists")]


def test_no_capability_is_forgotten() -> None:
    public = [getattr(interface, name) for name in interface.__all__]

    with_methods = {part for part in public if getattr(part, "_is_runtime_protocol", False) and methods(part)}
    assert with_methods == set(PROTOCOLS)


def methods(protocol: type) -> list[str]:
    return [name for name, _ in inspect.getmembers(protocol, inspect.isfunction) if not name.startswith("_")]
