"""Sessions, sweeps, reapers, strangers, faults and clocks in any order: the promises hold after each step.

Hypothesis chooses what happens; `faultlab.model` knows what is true, and what has been promised.
"""

from __future__ import annotations

from collections.abc import Sequence

from faultlab.model.clock import WorldClock
from faultlab.model.life import Life
from faultlab.model.orbstack import orbstack_places
from faultlab.model.place import Place, Told


class OrbStackLife(Life):
    """On simulated OrbStacks, by the simulator's own state machine: no engine has labels."""

    @staticmethod
    def make_places(clock: WorldClock, told: Told) -> Sequence[Place]:
        return orbstack_places(clock, told)


TestLife = Life.TestCase
TestOrbStackLife = OrbStackLife.TestCase
