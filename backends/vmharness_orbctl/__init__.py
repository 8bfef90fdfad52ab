"""`orbctl` and `orb` without OrbStack: a command of ours over a simulator, or over another backend.

So a suite that was written for OrbStack runs on Linux and in CI, unchanged. `install` writes the two
commands into a folder that can be put on PATH; the pytest fixture `orbctl_on_path` does so for a test.
Behind them is the *simulator*, whose machines exist in a folder only and whose commands run on this host,
or any *backend* of vmharness by its name. The simulator does as OrbStack 2.2 was seen to do, with its
errors and defects as settings; see `vmharness_orbctl._settings`.

A test steers the commands through their folder::

    orbctl = Orbctl(folder)
    orbctl.set(errors={"create": "missing-ip"}, times={"create": 1})
    orbctl.hold("create:accepted")  # the next create stops once its machine's fate is sealed
    orbctl.wait_for("create", "waits")  # ... and now one stands there: kill it, or
    orbctl.release("create:accepted")

Points are `VERB:before` and `VERB:after`, and `VERB:accepted` for create, delete, start, stop and clone;
`*` is any verb, and `run PROGRAM` a run of that program, as `run sleep:before`.
"""

from __future__ import annotations

TYPE_CHECKING = False  # this package is imported by a command that is started hundreds of times
if TYPE_CHECKING:
    from vmharness_orbctl._install import install, stand_in
    from vmharness_orbctl._steer import Event, Orbctl

__all__ = ["Event", "Orbctl", "install", "stand_in"]

_HOMES = {"Event": "_steer", "Orbctl": "_steer", "install": "_install", "stand_in": "_install"}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'vmharness_orbctl' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"vmharness_orbctl.{_HOMES[name]}"), name)
