"""Which deaths are tried at which moments, who must clean up, and why some make no sense. It runs nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import product
from typing import Final

__all__ = [
    "SAME",
    "Backend",
    "Cell",
    "Death",
    "Knob",
    "Layer",
    "Moment",
    "Runner",
    "all_cells",
    "cells",
    "doubled",
    "reason_against",
]


class Backend(StrEnum):
    """On which engine the run has its machines."""

    FAKE = "fake"
    DOCKER = "docker"
    LXD = "lxd"
    ORBSTACK = "orbstack"


class Runner(StrEnum):
    """What runs the tests."""

    PLAIN = "pytest"
    XDIST = "pytest -n2"


class Death(StrEnum):
    """What ends the run, or a part of it."""

    EXCEPTION = "exception in the test"
    SETUP_EXCEPTION = "exception in fixture setup"
    FINALIZER = "KeyboardInterrupt in a fixture's finalizer"
    PYTEST_EXIT = "pytest.exit in the test"
    LATE = "create time-out, late arrival"
    SIGINT = "SIGINT"
    SIGINT_TWICE = "SIGINT twice"
    SIGINT_STORM = "SIGINT until it ends"
    SIGTERM = "SIGTERM"
    SIGHUP = "SIGHUP"
    SIGQUIT = "SIGQUIT"
    KILL = "SIGKILL of pytest"
    KILL_WORKER = "SIGKILL of one worker"
    KILL_GROUP = "SIGKILL of the process group"
    KILL_REAPER = "SIGKILL of the reaper"
    KILL_BOTH = "SIGKILL of reaper and pytest"
    STOPPED = "SIGSTOP, another session, SIGKILL"
    EXIT = "os._exit"
    SEGFAULT = "segfault"
    TIMEOUT = "pytest-timeout, thread method"
    CI = "CI: INT, TERM, KILL"
    RESTART = "the engine restarts"
    OFF = "SIGKILL while the engine is off"


# What needs no entry of its own, for it takes the same way through the code.
SAME: Final = {
    "SIGABRT, a failed assertion in C": Death.SEGFAULT,
    "MemoryError, RecursionError, `sys.exit` in a test": Death.EXCEPTION,
    "the OOM killer": Death.KILL,
    "pytest-timeout, signal method": Death.EXCEPTION,
}


class Moment(StrEnum):
    """When it strikes."""

    COLLECTION = "collection"
    BEFORE = "before the create"
    DURING = "during the create"
    AFTER = "created, not recorded"
    SETUP = "fixture setup"
    BODY = "test body"
    TEARDOWN = "test teardown"
    END = "session teardown"
    SWEEP = "sweep"


class Layer(StrEnum):
    """Who removes the machine; in a cell the later ones are off."""

    EXIT = "exit"
    RUN = "run"
    REAPER = "reaper"
    NEXT = "next"


class Knob(StrEnum):
    """What the simulated OrbStack does besides, as the real one was seen to."""

    USUAL = "nothing unusual"
    SLOW = "creates take long; until then no delete"
    CANCEL = "creates take long; a delete ends them"
    RETRIED = "the image's index times out, once"
    LEFTOVER = "creates fail and leave a machine"
    LISTS = "listings fail, twice"
    BUSY = "deletes fail as busy, twice"
    LASTING = "deletes take long"
    OLD = "release 0.12, slow creates"
    BANNER = "news of an update in all answers"
    WEDGED = "from then on no command answers, until one is given up"
    STUCK = "creates fail and leave a machine that no delete removes"


@dataclass(frozen=True)
class Cell:
    """One death at one moment of one kind of run; if the engine is simulated, on one or two kinds of it."""

    death: Death
    moment: Moment
    runner: Runner
    knob: Knob | None = None
    also: Knob | None = None

    @property
    def values(self) -> Sequence[Death | Moment | Runner | Knob]:
        """What it is made of."""
        return (self.death, self.moment, self.runner, *self.knobs)

    @property
    def knobs(self) -> Sequence[Knob]:
        """What the engine does besides."""
        return [knob for knob in (self.knob, self.also) if knob is not None]

    @property
    def id(self) -> str:
        """A name for pytest's -k."""
        return "-".join(part.name.lower() for part in self.values)

    @property
    def layer(self) -> Layer:
        """Who must remove the machine."""
        if self.moment is Moment.SWEEP or self.death is Death.KILL_BOTH:
            return Layer.NEXT
        # Workers don't hear the terminal's interrupt: execnet ends them some seconds after their controller.
        if self.runner is Runner.XDIST and self.death in _HEARD_BY_THE_CONTROLLER:
            return Layer.RUN
        if self.death in _IN_ORDER and not self._interrupts_the_end:
            return Layer.EXIT
        return Layer.REAPER

    @property
    def dies_there(self) -> bool:
        """Whether it strikes dead at the moment, though no call ever went on."""
        return self.death in _DEAD_AT_ONCE or self._interrupts_the_end

    @property
    def _interrupts_the_end(self) -> bool:
        """Whether a signal strikes a run that only has to clean up: it is taken for a second one."""
        return self.runner is Runner.PLAIN and self.moment is Moment.END and self.death in _SIGNALS


_SIGNALS: Final = (Death.SIGINT, Death.SIGTERM, Death.SIGHUP)
_HEARD_BY_THE_CONTROLLER: Final = (*_SIGNALS, Death.SIGINT_TWICE, Death.SIGINT_STORM, Death.KILL)
_OF_THE_SUITE: Final = {
    Death.EXCEPTION: Moment.BODY,
    Death.SETUP_EXCEPTION: Moment.SETUP,
    Death.FINALIZER: Moment.TEARDOWN,
    Death.PYTEST_EXIT: Moment.BODY,
    Death.LATE: Moment.DURING,
}
# Deaths that leave the run time to end in order; of the others nothing is left but the reaper.
_IN_ORDER: Final = (*_SIGNALS, *_OF_THE_SUITE, Death.KILL_REAPER, Death.RESTART)
_DEAD_AT_ONCE: Final = (
    Death.SIGINT_TWICE,
    Death.SIGINT_STORM,
    Death.SIGQUIT,
    Death.KILL,
    Death.KILL_WORKER,
    Death.KILL_GROUP,
    Death.KILL_BOTH,
    Death.STOPPED,
    Death.EXIT,
    Death.SEGFAULT,
    Death.TIMEOUT,
    Death.CI,
    Death.OFF,
)
_IN_A_TEST: Final = (
    Moment.BEFORE,
    Moment.DURING,
    Moment.AFTER,
    Moment.SETUP,
    Moment.BODY,
    Moment.TEARDOWN,
)


def reason_against(cell: Cell, backend: Backend = Backend.FAKE) -> str:
    """Return why a cell makes no sense on an engine; "" if it does."""
    death, moment, plain = cell.death, cell.moment, cell.runner is Runner.PLAIN
    if death in _OF_THE_SUITE and moment is not _OF_THE_SUITE[death]:
        return "the suite itself does it, there"
    if death is Death.KILL_WORKER and plain:
        return "there are no workers"
    if moment is Moment.SWEEP and not plain:
        return "the controller sweeps before there are workers: as without xdist"
    if death is Death.KILL_GROUP and plain:
        return "one process: as SIGKILL of pytest"
    if death is Death.TIMEOUT and moment not in _IN_A_TEST:
        return "time-outs are tests'"
    if moment is Moment.SWEEP and death in (Death.KILL_REAPER, Death.KILL_BOTH):
        return "the reaper has no part in it"
    if moment is Moment.SWEEP and death is Death.SIGINT_TWICE:
        return "the first one ends the sweep"
    if death is Death.OFF and moment not in (Moment.DURING, Moment.BODY):
        return "what its reaper meets is the same: unfinished creates, or machines"
    if backend is Backend.FAKE and death is Death.RESTART and moment not in _FAKE_RESTARTS:
        return "a call that the fake engine has begun is beyond its restart: real engines only"
    return _reason_against_knob(cell)


def _reason_against_knob(cell: Cell) -> str:
    """Return why a death at that moment makes no sense on an OrbStack of that kind."""
    death, moment, knob = cell.death, cell.moment, cell.knob
    if knob is Knob.RETRIED and (moment in _CREATING or death is Death.LATE):
        return "a create that failed is rolled back: nothing is there to be left"
    if knob is Knob.LEFTOVER and (moment not in (*_CREATING, Moment.TEARDOWN) or death in _BY_A_MACHINE):
        return "a test whose create failed has no machine to go on with"
    if knob is Knob.LEFTOVER and death is Death.TIMEOUT and moment is Moment.TEARDOWN:
        return "what a failed create left is deleted in the background: no test stands there"
    if knob is Knob.LISTS and cell.layer is Layer.NEXT:
        return "a sweep asks for a second, and leaves what it can't list to the next one"
    if knob is Knob.WEDGED and death not in _STRUCK_DEAD:
        return "what asks only once, or needs an answer to die, leaves it to a reaper"
    if knob is Knob.WEDGED and cell.layer is not Layer.REAPER:
        return "of an engine that answers nobody, a run's end and a sweep leave all to the reaper"
    if knob is Knob.STUCK:
        return "it stays, and is named in the summary, until OrbStack itself is stopped"
    if knob in _SLOW and moment is Moment.DURING and death in (Death.RESTART, Death.OFF):
        return "OrbStack forgets what it is making when it is stopped"
    return ""


_FAKE_RESTARTS: Final = (Moment.BEFORE, Moment.BODY, Moment.TEARDOWN, Moment.END, Moment.SWEEP)


_CREATING: Final = (Moment.BEFORE, Moment.DURING, Moment.AFTER)
_SLOW: Final = (Knob.SLOW, Knob.CANCEL, Knob.LEFTOVER, Knob.OLD)
_OF_CREATES: Final = (*_SLOW, Knob.RETRIED)
_OF_OTHERS: Final = (Knob.LISTS, Knob.BUSY, Knob.LASTING, Knob.BANNER, Knob.WEDGED)
# What the suite does to itself once it has a machine.
_BY_A_MACHINE: Final = (Death.EXCEPTION, Death.SETUP_EXCEPTION, Death.FINALIZER, Death.PYTEST_EXIT)


# Without a word to an engine on the way.
_STRUCK_DEAD: Final = (
    *(Death.SIGQUIT, Death.KILL, Death.KILL_WORKER, Death.KILL_GROUP),
    *(Death.STOPPED, Death.EXIT, Death.SEGFAULT, Death.TIMEOUT),
)


def all_cells(backend: Backend = Backend.FAKE) -> Iterator[Cell]:
    """Yield the whole product."""
    knobs: Sequence[Knob | None] = tuple(Knob) if backend is Backend.ORBSTACK else (None,)
    for death, moment, runner, knob in product(Death, Moment, Runner, knobs):
        yield Cell(death, moment, runner, knob)


def cells(backend: Backend = Backend.FAKE) -> list[Cell]:
    """Return the cells that make sense on an engine."""
    return [cell for cell in all_cells(backend) if not reason_against(cell, backend)]


def doubled(cell: Cell) -> Iterator[Cell]:
    """Yield the cells in which an OrbStack whose creates are unusual is unusual elsewhere, too."""
    if cell.knob in _OF_CREATES:
        for knob in _OF_OTHERS:
            # While listings fail nobody knows what a failed create left, and it isn't tried again.
            hides = (cell.knob, knob) == (Knob.RETRIED, Knob.LISTS)
            if not hides and not _reason_against_knob(replace(cell, knob=knob)):
                yield replace(cell, also=knob)
