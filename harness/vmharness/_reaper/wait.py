"""The reaper while its owner lives: it waits for the lock of its owner's ledger. Run as a script.

Getting the lock is the news that the owner is dead, the proof of it, and the right to delete what the
ledger names. Until then it loads next to nothing, and knows nothing of vmharness: an own one waits for
each process of a run. Then, if anything is left to do, it becomes `vmharness._reaper.reap`.
"""

# No `from __future__`, no typing: each import is memory and time that every session pays for.
import fcntl
import os
import signal
import sys

# A terminal or CI job that ends may send these to all it can find. What remains to be done is short.
_IGNORED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)


def main(ledger: str, report: int, python: str) -> None:
    """Wait until the ledger's owner is dead, then reap.

    Args:
        ledger: Path of the ledger.
        report: Descriptor of a pipe: our process id is written to it once we wait, and it stays open as
            long as we do.
        python: The interpreter that has vmharness.
    """
    if os.fork():  # nobody's child: whoever waits for all of its children doesn't wait for us
        os._exit(0)
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    os.chdir(os.path.dirname(ledger))  # noqa: PTH120 - pathlib costs as much as all the rest
    descriptor = os.open(ledger, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.write(report, b"%d\n" % os.getpid())
    except BrokenPipeError:
        pass  # its owner died meanwhile, and may have named machines that others made
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    # What an inbox says is taken up, and what lies beside is removed, by who can write to the ledger.
    stem = ledger.removesuffix(".ledger")
    beside = any(os.path.exists(stem + suffix) for suffix in (".inbox", ".bin"))  # noqa: PTH110
    states = None if beside else _states(descriptor)
    if states is not None and states <= {"gone", "kept"}:
        if states <= {"gone"} and _is_there(descriptor, ledger):
            os.unlink(ledger)  # noqa: PTH108 - its owner died between its last machine and its own end
        return
    os.set_inheritable(descriptor, True)  # noqa: FBT003
    os.set_inheritable(report, False)  # noqa: FBT003
    reap = [python, "-P", "-Wignore", "-m", "vmharness._reaper.reap", ledger, str(descriptor)]
    os.execv(python, reap)  # noqa: S606 - the lock comes along with the descriptor


def _states(descriptor: int) -> set[str] | None:
    """Return the states of all machines that the ledger names, whether it is still in sight or not.

    None: not all of it can be read.
    """
    import json

    content = b""
    while part := os.pread(descriptor, 1 << 20, len(content)):
        content += part
    states: dict[str, str] = {}
    try:
        for line in content.split(b"\n")[1:-1]:
            record = json.loads(line)
            states[record["id"]] = record["state"]
    except (KeyError, TypeError, ValueError):
        return None
    return set(states.values())


def _is_there(descriptor: int, path: str) -> bool:
    """Whether the open file is still the one at the path."""
    try:
        there = os.lstat(path)
    except OSError:
        return False
    return os.path.samestat(os.fstat(descriptor), there)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
