"""The command's way in, `__main__.py PROGRAM ENGINE FOLDER ARGS…`, as the launchers of `install` call it.

For the simulator nothing is imported but this package and the standard library, so that Python can be
started without its site packages: it is called hundreds of times.
"""

from __future__ import annotations

import os
import signal
import sys

# Python is started so that it looks for packages nowhere by itself.
sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from vmharness_orbctl._front import run_command
from vmharness_orbctl._settings import read_settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from vmharness_orbctl._log import Call
    from vmharness_orbctl._types import Engine, Settings

SIMULATOR = "simulator"


def main(argv: Sequence[str]) -> int:
    """Run the command; return its exit status."""
    program, engine, folder, *args = argv
    folder = os.environ.get("VMHARNESS_ORBCTL_DIR") or folder
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        settings = read_settings(folder)
    except (OSError, ValueError) as exc:
        print(f"{program} of vmharness: cannot use its folder: {exc}", file=sys.stderr)
        return 1

    def open_engine(call: Call) -> Engine:
        return _open(engine, folder, settings, call)

    return run_command(program, args, folder=folder, settings=settings, open_engine=open_engine)


def _open(engine: str, folder: str, settings: Settings, call: Call) -> Engine:
    if engine == SIMULATOR:
        from vmharness_orbctl._daemon import Daemon
        from vmharness_orbctl._simulator import Simulator

        return Simulator(folder, settings, call, Daemon(folder))
    from vmharness_orbctl._other import open_other

    return open_other(engine, folder, settings, call)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # As a program in Go dies of it, which has nothing left to write.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGPIPE)
