"""What all parts of the conformance kit share: its fixtures, and what an author may set.

It knows no verb's meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import ClassVar, Final

import pytest

from vmharness._clock import Clock
from vmharness.provider import Connect, Provider, StartsAndStops
from vmharness.testing._interface import misfits
from vmharness.testing._machines import ContractMachines

__all__ = ["ENDED", "Contract"]

# On the class that pytest collected: why nothing else of it is checked.
ENDED: Final = pytest.StashKey[str]()


class Contract:
    """Fixtures and settings of the kit.

    Attributes:
        verb: What the checks of a class are about; a heading of the report.
        image: Image of the machines; "" = the backend's default. A small one makes the kit fast.
        create_timeout_s: Deadline of each create, in seconds.
        delete_timeout_s: Deadline of each delete, in seconds.
        clock_skew_s: How far the engine's clock may be from ours, in seconds.
        hostile_names: Names that no engine can have. An author may add what only this one can't.
    """

    verb: ClassVar[str] = ""

    image: str = ""
    create_timeout_s: float = 300.0
    delete_timeout_s: float = 60.0
    clock_skew_s: float = 30.0
    hostile_names: tuple[str, ...] = (
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
        """Return the backend's entry point; without it, what a second provider sees isn't checked."""
        return None

    @pytest.fixture
    def provider(self, connect: Connect | None) -> Provider:
        """Return the provider to check."""
        if connect is None:
            raise NotImplementedError("give the conformance test a fixture 'connect' or 'provider'")
        return connect()

    @pytest.fixture(autouse=True)
    def checkable(self, request: pytest.FixtureRequest, provider: Provider) -> None:
        """Skip what can't be checked any more, or of this provider; only the check that says so is left."""
        stash = request.node.parent.stash
        if ENDED not in stash and misfits(provider):
            stash[ENDED] = "without the interface nothing else is checked"
        if ENDED in stash and request.node.name != "test_provider_has_the_interface":
            pytest.skip(f"not checked: {stash[ENDED]}")

    @pytest.fixture
    def stop(self, provider: Provider) -> Callable[[str], None] | None:
        """Return what stops a machine by the engine's own means; the provider's own, where it can."""
        if isinstance(provider, StartsAndStops):
            return partial(provider.stop, timeout=self.delete_timeout_s)
        return None

    @pytest.fixture
    def unreachable(self) -> Provider | None:
        """Return a provider whose engine doesn't answer; without it, what it then says isn't checked."""
        return None

    @pytest.fixture
    def slow(self) -> Callable[[str, float], None] | None:
        """Return what makes the engine slow: `slow("create", 5.0)`, or "delete", and so many seconds.

        From then on each call of that verb takes so long, and goes on in the engine when its caller doesn't
        wait. Without it, deadlines are checked only where an engine is slow by itself.
        """
        return None

    @pytest.fixture
    def clock(self) -> Clock:
        """Return the clock that the kit reads and waits by; a simulated engine may have one of its own."""
        return Clock()

    @pytest.fixture
    def machines(
        self, request: pytest.FixtureRequest, provider: Provider, clock: Clock
    ) -> Iterator[ContractMachines]:
        """Make machines that are deleted after the check, whatever happens."""
        machines = ContractMachines(
            provider,
            image=self.image,
            create_timeout_s=self.create_timeout_s,
            delete_timeout_s=self.delete_timeout_s,
            clock=clock,
        )
        try:
            machines.begin()
            yield machines
            machines.delete_all()
        finally:
            if machines.ended:
                request.node.parent.stash[ENDED] = machines.ended
