"""What a test of an author's own, with the conformance kit, says when the kit can't go on, or needn't."""

from __future__ import annotations

from typing import Any

import pytest

BACKEND = """
import pytest
from vmharness.provider import Spec
from vmharness.testing import ProviderContract
from vmharness_fake import FakeProvider, MemoryStore


class Dicts(FakeProvider):
    def list(self):
        return [{"name": info.name} for info in super().list()]


class Invaded(FakeProvider):
    def exists(self, name):
        if not super().exists("conf-of-somebody"):
            self.create(Spec(name="conf-of-somebody"), timeout=1)
        return super().exists(name)


STORE = MemoryStore()


class TestIt(ProviderContract):
    @pytest.fixture
    def provider(self):
        return KIND(STORE)
"""


def test_a_listing_of_something_else_fails_one_check(pytester: pytest.Pytester) -> None:
    outcomes = run(pytester, "Dicts")

    assert outcomes["failed"] + outcomes["errors"] == 1
    assert outcomes["skipped"] > 3


def test_machines_of_the_kits_names_that_turn_up_are_told_once(pytester: pytest.Pytester) -> None:
    outcomes = run(pytester, "Invaded")

    assert outcomes["errors"] == 1
    assert outcomes["skipped"] > 3


def run(pytester: pytest.Pytester, kind: str) -> Any:
    pytester.makepyfile(BACKEND.replace("KIND", kind))
    result = pytester.runpytest_subprocess(
        "-pno:cacheprovider", "-pno:hypothesispytest", "-kexists or absent"
    )
    return {"failed": 0, "errors": 0, "skipped": 0, "passed": 0, **result.parseoutcomes()}
