"""Which deaths are tried at which moments, who must clean up, and why some make no sense. It runs nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import product

__all__ = ["Cell", "Death", "Layer", "Moment", "Runner", "all_cells", "cells", "reason_against"]


class Runner(StrEnum):
    """What runs the tests."""

    PLAIN = "pytest"
    XDIST = "pytest -n2"


class Death(StrEnum):
    """What ends the run, or a part of it."""

    EXCEPTION = "exception in the test"
    SETUP_EXCEPTION = "exception in fixture setup"
    LATE = "create time-out, late arrival"
    SIGINT = "SIGINT"
    SIGINT_TWICE = "SIGINT twice"
    SIGTERM = "SIGTERM"
    SIGHUP = "SIGHUP"
    KILL = "SIGKILL of pytest"
    KILL_WORKER = "SIGKILL of one worker"
    KILL_GROUP = "SIGKILL of the process group"
    KILL_REAPER = "SIGKILL of the reaper"
    KILL_BOTH = "SIGKILL of reaper and pytest"
    EXIT = "os._exit"
    SEGFAULT = "segfault"
    TIMEOUT = "pytest-timeout, thread method"
    CI = "CI: INT, TERM, KILL"
    RESTART = "the engine restarts"


class Moment(StrEnum):
    """When it strikes."""

    BEFORE = "before the create"
    DURING = "during the create"
    AFTER = "created, not recorded"
    SETUP = "fixture setup"
    BODY = "test body"
    TEARDOWN = "test teardown"
    END = "session teardown"
    SWEEP = "sweep"


class Layer(StrEnum):
    """Who removes the machine; in a cell the others are off."""

    EXIT = "exit"
    RUN = "run"
    REAPER = "reaper"
    NEXT = "next"


@dataclass(frozen=True)
class Cell:
    """One death at one moment of one kind of run."""

    death: Death
    moment: Moment
    runner: Runner

    @property
    def id(self) -> str:
        """A name for pytest's -k."""
        return "-".join(part.name.lower() for part in (self.death, self.moment, self.runner))

    @property
    def layer(self) -> Layer:
        """Who must remove the machine."""
        if self.moment is Moment.SWEEP or self.death is Death.KILL_BOTH:
            return Layer.NEXT
        # Workers don't hear the terminal's interrupt: execnet ends them some seconds after their controller.
        if self.runner is Runner.XDIST and self.death in (*_SIGNALS, Death.SIGINT_TWICE, Death.KILL):
            return Layer.RUN
        if self.death in _LEAVES_NO_TIME:
            return Layer.REAPER
        return Layer.REAPER if self.death is Death.KILL else Layer.EXIT


_SIGNALS = (Death.SIGINT, Death.SIGTERM, Death.SIGHUP)
_LEAVES_NO_TIME = (
    Death.SIGINT_TWICE,
    Death.KILL_WORKER,
    Death.KILL_GROUP,
    Death.EXIT,
    Death.SEGFAULT,
    Death.TIMEOUT,
    Death.CI,
)
_IN_A_TEST = (Moment.SETUP, Moment.BODY, Moment.TEARDOWN, Moment.BEFORE, Moment.DURING, Moment.AFTER)


def reason_against(cell: Cell) -> str:
    """Return why a cell makes no sense; "" if it does."""
    death, moment, plain = cell.death, cell.moment, cell.runner is Runner.PLAIN
    of_the_suite = {
        Death.EXCEPTION: Moment.BODY,
        Death.SETUP_EXCEPTION: Moment.SETUP,
        Death.LATE: Moment.DURING,
    }
    if death in of_the_suite and moment is not of_the_suite[death]:
        return "the suite itself does it, there"
    if death is Death.KILL_WORKER and plain:
        return "there are no workers"
    if moment is Moment.SWEEP and not plain:
        return "the controller sweeps before there are workers: as without xdist"
    if death is Death.KILL_GROUP and plain:
        return "one process: as SIGKILL of pytest"
    if death is Death.TIMEOUT and moment not in _IN_A_TEST:
        return "time-outs are tests'"
    if moment is Moment.SWEEP and death in (Death.KILL_REAPER, Death.KILL_BOTH, Death.SIGINT_TWICE):
        return "the reaper has no part in it"
    if death is Death.RESTART and moment not in (Moment.BEFORE, Moment.BODY, Moment.TEARDOWN, Moment.END):
        return "a call that the fake engine has begun is beyond its restart; real engines show it"
    return ""


def all_cells() -> Iterator[Cell]:
    """Yield the whole product."""
    for death, moment, runner in product(Death, Moment, Runner):
        yield Cell(death, moment, runner)


def cells() -> list[Cell]:
    """Return the cells that make sense."""
    return [cell for cell in all_cells() if not reason_against(cell)]
