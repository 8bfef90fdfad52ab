"""What tests of faults share: a stage on the fake engine, and how often hypothesis tries.

A CI run a few hundred times, one that is told to be thorough for thousands.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.configuration import set_hypothesis_home_dir

from faultlab.fake import FakeStage
from faultlab.neighbour import Neighbour, strangers
from faultlab.stage import Stage

# Nothing is kept between runs, and nothing is left in the folder where tests are run.
set_hypothesis_home_dir(Path(tempfile.gettempdir(), f"vmharness-hypothesis-{os.geteuid()}"))

# A step's time says nothing: it is the machine's. What fails is printed in a form that can be run again.
_usual = settings(max_examples=200, stateful_step_count=40, deadline=None, print_blob=True, database=None)
# CI's examples are the same each time, as with hypothesis's own profile for CI: one that fails is a change's.
settings.register_profile("usual", _usual, derandomize=True)
settings.register_profile("thorough", _usual, max_examples=5000)
settings.load_profile(os.environ.get("VMHARNESS_TEST_PROFILE", "usual"))


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[FakeStage]:
    stage = FakeStage(tmp_path)
    yield stage
    stage.close()


@pytest.fixture(scope="session")
def neighbour() -> Iterator[Neighbour]:
    neighbour = Neighbour()
    yield neighbour
    neighbour.close()


@pytest.fixture
def others(stage: Stage, neighbour: Neighbour) -> Iterator[set[str]]:
    """Machines that must live: strangers', and those of living sessions, on the run's state folder too."""
    engine = stage.engine
    with (
        strangers(engine) as theirs,
        neighbour.session(engine, stage.state) as near,
        neighbour.session(engine, stage.folder / "other") as far,
    ):
        yield {*theirs, near, far}
        stage.close()
