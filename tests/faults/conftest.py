"""How often hypothesis tries: a CI run a few hundred times, one that is told to be thorough for thousands."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis.configuration import set_hypothesis_home_dir

# Nothing is kept between runs, and nothing is left in the folder where tests are run.
set_hypothesis_home_dir(Path(tempfile.gettempdir(), f"vmharness-hypothesis-{os.geteuid()}"))

# A step's time says nothing: it is the machine's. What fails is printed in a form that can be run again.
_usual = settings(max_examples=200, stateful_step_count=40, deadline=None, print_blob=True, database=None)
settings.register_profile("usual", _usual)
settings.register_profile("thorough", _usual, max_examples=5000)
settings.load_profile(os.environ.get("VMHARNESS_TEST_PROFILE", "usual"))
