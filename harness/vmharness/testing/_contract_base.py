"""What all parts of the conformance kit share: its fixtures, and what an author may set.

It knows no verb's meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar

import pytest

from vmharness.provider import Connect, Provider
from vmharness.testing._machines import ContractMachines

__all__ = ["Contract"]


class Contract:
    """Fixtures and settings of the kit.

    Attributes:
        image: Image of the machines; "" = the backend's default. A small one makes the kit fast.
        create_timeout_s: Deadline of each create, in seconds.
        delete_timeout_s: Deadline of each delete, in seconds.
        clock_skew_s: How far the engine's clock may be from ours, in seconds.
        hostile_names: Names that no engine can have. An author may add what only this one can't.
    """

    image: ClassVar[str] = ""
    create_timeout_s: ClassVar[float] = 300.0
    delete_timeout_s: ClassVar[float] = 60.0
    clock_skew_s: ClassVar[float] = 30.0
    hostile_names: ClassVar[tuple[str, ...]] = (
        "",
        " ",
        "-",
        "-f",
        "--help",
        "--all",
        "a b",
        "a/b",
        "../a",
        "a:b",
        "a;b",
        "a,b",
        "$(a)",
        "a\nb",
        "a\0b",
        "*",
        "ä",
    )

    @pytest.fixture
    def connect(self) -> Connect | None:
        """Return the backend's entry point; without it, whether an endpoint opens again isn't checked."""
        return None

    @pytest.fixture
    def provider(self, connect: Connect | None) -> Provider:
        """Return the provider to check."""
        if connect is None:
            raise NotImplementedError("give the conformance test a fixture 'connect' or 'provider'")
        return connect()

    @pytest.fixture
    def stop(self) -> Callable[[str], None] | None:
        """Return what stops a machine by the engine's own means; without it that isn't checked."""
        return None

    @pytest.fixture
    def machines(self, provider: Provider) -> Iterator[ContractMachines]:
        """Make machines that are deleted after the check, whatever happens."""
        machines = ContractMachines(
            provider,
            image=self.image,
            create_timeout_s=self.create_timeout_s,
            delete_timeout_s=self.delete_timeout_s,
        )
        yield machines
        machines.delete_all()
