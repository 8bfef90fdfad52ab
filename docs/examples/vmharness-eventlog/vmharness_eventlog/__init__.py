"""Lifecycle plugins that write an event log: one line of JSON for each thing that happens to machines.

`eventlog` only writes, beside all other plugins. `logged-teardown` writes and also deletes machines at their
scope's end: it takes the place of vmharness' own `teardown`.
"""

from __future__ import annotations

from vmharness_eventlog._log import EventLog
from vmharness_eventlog._teardown import LoggedTeardown

__all__ = ["EventLog", "LoggedTeardown"]
