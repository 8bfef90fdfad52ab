"""A process that has loaded all and has no thread, from which those that are to die are forked.

Loading anew for each of many hundred deaths would cost more than all the rest. It reads an `Order` a line
as JSON, and starts a process; at `wait` it answers how that one ended, its exit status or the negative number
of a signal, and at `wait for all` it answers once all that those have started have ended, too.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import traceback
from dataclasses import asdict
from pathlib import Path

from faultlab.crash_cycles import Order, live
from faultlab.crash_points import Death, Points
from vmharness._plugins import load_lifecycle
from vmharness._settings import DEFAULT_LIFECYCLE

__all__ = ["INTERRUPTED", "Nursery"]

# The exit status of a process that an interrupt ended.
INTERRUPTED = 130
# How long a process may live, in seconds: it takes some ms, and one that hangs must not outlive its test.
_LIFE_S = 60
# Of prctl(2).
_PR_SET_CHILD_SUBREAPER = 36


class Nursery:
    """The process, for a test that sends it orders."""

    def __init__(self) -> None:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("VMHARNESS_")}
        environ["PYTHONPATH"] = str(Path(__file__).parents[1])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "faultlab.crash_nursery"],
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, order: Order) -> None:
        """Let a process live as ordered; there is none beside it."""
        self._tell(json.dumps(asdict(order)))

    def wait(self) -> int:
        """Wait until the process has ended; return how."""
        return self._ask("wait")

    def wait_for_all(self) -> None:
        """Wait until the process's reaper has ended as well."""
        self._ask("wait for all")

    def _ask(self, line: str) -> int:
        assert self._process.stdout
        self._tell(line)
        return int(self._process.stdout.readline())

    def _tell(self, line: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def close(self) -> None:
        """End it."""
        self._process.communicate()


def _live(order: Order) -> int:
    """Do what is ordered in this process; return its exit status."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(null, descriptor)
    signal.alarm(_LIFE_S)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        live(order, Points(Path(order.log), order.at, Death(order.how)))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _wait(child: int) -> int:
    """Wait until a process has ended; return how."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _wait_for_all() -> int:
    """Wait until all of our children have ended, those that we adopted as well."""
    try:
        while True:
            os.wait()
    except ChildProcessError:
        return 0


def main() -> None:
    """Serve until the input ends."""
    os.environ.pop("PYTHONPATH", None)
    # Reapers become our children when their owner is dead, so that their end can be waited for.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    load_lifecycle(DEFAULT_LIFECYCLE)
    child = 0
    for line in sys.stdin:
        order = line.strip()
        if order.startswith("wait"):
            sys.stdout.write(f"{_wait(child) if order == 'wait' else _wait_for_all()}\n")
            sys.stdout.flush()
            continue
        child = os.fork()
        if not child:
            os._exit(_live(Order(**json.loads(order))))


if __name__ == "__main__":
    main()
