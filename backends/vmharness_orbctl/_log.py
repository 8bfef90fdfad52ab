"""The log of all commands, and the points at which they can be made to stop. It knows no command's meaning.

A line of `events.jsonl` is one moment: time, pid, parent, verb, phase, name of the machine, detail. Phases
are `begin`; `waits`, at a point that is held; `accepted`, once the machine's fate is sealed whatever becomes
of the command; `end`, with the exit status as detail.
"""

from __future__ import annotations

import json
import os
import time

from vmharness_orbctl._settings import read_settings

__all__ = ["EVENTS", "POLL_S", "Call"]

EVENTS = "events.jsonl"
POLL_S = 0.01


class Call:
    """One command under way.

    Args:
        folder: Where log and settings are.
        verb: Which command.
        name: The machine, or "".
        program: What is run in it, or "".
    """

    def __init__(self, folder: str, verb: str, name: str, program: str = "") -> None:
        self._folder = folder
        self.verb = verb
        self.name = name
        self._program = program
        self._parent = os.getppid()  # of now, for it may die before this does

    def log(self, phase: str, detail: str = "", *, name: str = "") -> None:
        """Append an event; one write, so that lines of several processes don't mix."""
        event = {
            "time": time.time(),
            "pid": os.getpid(),
            "parent": self._parent,
            "verb": self.verb,
            "phase": phase,
            "name": name or self.name,
            "detail": detail,
        }
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(f"{self._folder}/{EVENTS}", flags, 0o600)
        os.write(descriptor, (json.dumps(event) + "\n").encode())
        os.close(descriptor)

    def come_to(self, when: str) -> None:
        """Stop while `VERB:WHEN`, `*:WHEN` for all commands, or `run PROGRAM:WHEN` is held."""
        points = {f"{self.verb}:{when}", f"*:{when}", f"{self.verb} {self._program}:{when}"}
        if points.isdisjoint(read_settings(self._folder).get("hold", ())):
            return
        self.log("waits", f"{self.verb}:{when}")
        while not points.isdisjoint(read_settings(self._folder).get("hold", ())):
            time.sleep(POLL_S)
