"""Sessions, sweeps, reapers, strangers, faults and clocks in any order: the promises hold after each step.

Hypothesis chooses what happens; `faultlab.model` knows what is true, and what has been promised.
"""

from __future__ import annotations

from faultlab.model.life import Life
from faultlab.model.orbstack import orbstack_places


class OrbStackLife(Life):
    """On simulated OrbStacks, by the simulator's own state machine: no engine has labels."""

    make_places = staticmethod(orbstack_places)


TestLife = Life.TestCase
TestOrbStackLife = OrbStackLife.TestCase
