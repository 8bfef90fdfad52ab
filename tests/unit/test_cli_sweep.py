"""`vmharness sweep`: what it would delete, what it deletes, and above all what it leaves alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from vmharness import MachineState
from vmharness.cli._plan import Wanted, make_plan
from vmharness.cli._sweeping import Swept, carry_out
from vmharness_fake import Fault, Faults, FolderFakeProvider, FolderStore

from cli_tools import Host
