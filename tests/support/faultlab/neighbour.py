"""What lives beside a run and must outlive it: strangers' machines, and living sessions of another process.

Run as a script it is that process. It reads a JSON object a line: {"open": STATE FOLDER, "environ": …} to
open a session with a machine, {"close": STATE FOLDER} to close it; and answers with the machine's name.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

from faultlab.engine import EngineUnderTest
from vmharness import Session, open_session

__all__ = ["Neighbour", "strangers"]

_PATIENCE_S: Final = 60.0


class Neighbour:
    """The process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @contextmanager
    def session(self, engine: EngineUnderTest, state: Path) -> Generator[str]:
        """Let it have a session on a state folder in a block; yield the name of its machine."""
        environ = {
            **engine.environ,
            "VMHARNESS_BACKEND": engine.backend,
            "VMHARNESS_LIFECYCLE": "tracking,teardown",
            "VMHARNESS_PREFIX": engine.prefix,
            "VMHARNESS_STATE_DIR": str(state),
        }
        name = self._tell(open=str(state), environ=environ)
        try:
            yield name
        finally:
            self._tell(close=str(state))

    def _tell(self, **order: str | Mapping[str, str]) -> str:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        name: str = json.loads(self._process.stdout.readline())
        return name

    def close(self) -> None:
        """End the process."""
        self._process.communicate(timeout=_PATIENCE_S)


@contextmanager
def strangers(engine: EngineUnderTest) -> Generator[set[str]]:
    """Have machines in a block with names like a run's, one with the labels of another host's run."""
    elsewhere = {"vmharness.token": "a" * 32, "vmharness.expires": str(int(time.time()) + 3600)}
    plain, labelled = f"{engine.prefix}-one-0-aaaaaaaaaa", f"{engine.prefix}-one-0-bbbbbbbbbb"
    engine.make(plain, {})
    engine.make(labelled, elsewhere)
    try:
        yield {plain, labelled}
    finally:
        engine.remove((plain, labelled))


def main() -> None:
    """Serve until the input ends."""
    sessions: dict[str, AbstractContextManager[Session]] = {}
    for line in sys.stdin:
        order = json.loads(line)
        name = ""
        if state := order.get("close"):
            sessions.pop(state).__exit__(None, None, None)
        else:
            os.environ.update(order["environ"])
            sessions[order["open"]] = opened = open_session()
            name = opened.__enter__().create(scope="neighbour::test_one").name
        sys.stdout.write(json.dumps(name) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
