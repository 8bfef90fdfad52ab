"""A process that lives beside a run: two sessions, one on the run's state folder, one on another.

Reads a JSON object a line, {"engine": …, "state": …, "other": …} to open both with a machine each, {} to
close them; answers with the machines' names.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import ExitStack

from vmharness import open_session


def main() -> None:
    """Serve until the input ends."""
    with ExitStack() as stack:
        for line in sys.stdin:
            order = json.loads(line)
            stack.close()
            names: list[str] = []
            if order:
                os.environ["VMHARNESS_FAKE_DIR"] = order["engine"]
                for state in (order["state"], order["other"]):
                    environ = {
                        "VMHARNESS_STATE_DIR": state,
                        "VMHARNESS_LIFECYCLE": "tracking,teardown",
                        "VMHARNESS_BACKEND": "fake",
                        "VMHARNESS_PREFIX": "vmh",
                    }
                    session = stack.enter_context(open_session(environ=environ))
                    names.append(session.create(scope="neighbour::test_one").name)
            sys.stdout.write(json.dumps(names) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
