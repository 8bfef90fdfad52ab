"""Interrupts, forks, engines that are off, plugins that are broken: the run goes on or ends in good order."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from vmharness import Session, Settings, Spec
from vmharness._ledger import FileLedger
from vmharness._settings import SweepMode
from vmharness.command import CommandLine
from vmharness.testing import FakeClock
from vmharness_fake import FakeProvider, Fault, Faults, MemoryStore

MakeSession = Callable[..., Session]

# Longer than anything here waits for it.
FOREVER = "300"
# A user whom the password database doesn't know.
NOBODY = 54321

PREAMBLE = """
import json, os, signal, sys
from pathlib import Path
sys.path[:0] = json.loads(sys.argv[1])
"""


def run(
    script: str, *args: str, path: Sequence[str] = (), environ: dict[str, str] | None = None
) -> tuple[int, list[str]]:
    """Run a script in a Python of its own; return how it ended and the lines it wrote."""
    search = json.dumps([*path, *sys.path])
    done = subprocess.run(
        [sys.executable, "-u", "-c", PREAMBLE + textwrap.dedent(script), search, *args],
        capture_output=True,
        env=environ,
        text=True,
        timeout=60,
        check=False,
    )
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout.splitlines()


class Plugins:
    """Plugins that are installed for the processes that a test starts, and for no other."""

    def __init__(self, folder: Path) -> None:
        self._site = folder / "site"
        self._site.mkdir()
        self._cache = folder / "cache"

    def install(self, code: str, entry_points: str) -> None:
        (self._site / "plug.py").write_text(textwrap.dedent(code))
        info = self._site / "plug-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plug\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(textwrap.dedent(entry_points))

    def run(self, script: str, *args: str) -> tuple[int, list[str]]:
        environ = {**os.environ, "XDG_CACHE_HOME": str(self._cache)}
        return run(script, *args, path=[str(self._site)], environ=environ)

    def run_alone(self, script: str) -> list[str]:
        """Run a script in which they are the only plugins; return the lines it wrote."""
        alone = """
            import vmharness_fake
            from vmharness._plugins import choose_provider, open_provider
            from vmharness.errors import PluginError
            site, *others = sys.path
            has_plugins = lambda entry: any(Path(entry or ".").glob("*.dist-info"))
            sys.path[:] = [site, *(entry for entry in others if not has_plugins(entry))]
        """
        status, said = self.run(textwrap.dedent(alone) + textwrap.dedent(script))
        assert status == 0
        return said


@pytest.fixture
def plugins(tmp_path: Path) -> Plugins:
    return Plugins(tmp_path)


class Commands:
    """Processes as `CommandLine` starts them, so that a test can look at them."""

    def __init__(self, kind: type[subprocess.Popen[bytes]] = subprocess.Popen) -> None:
        self._kind = kind
        self.started: list[subprocess.Popen[bytes]] = []

    def popen(self, *args: Any, **kwargs: Any) -> subprocess.Popen[bytes]:
        process = self._kind(*args, **kwargs)
        self.started.append(process)
        return process


class Interrupted(subprocess.Popen[bytes]):
    """Strikes with an interrupt once the command's leader has ended, though its pipes are still held."""

    struck = False

    def communicate(self, input: bytes | None = None, timeout: float | None = None) -> tuple[bytes, bytes]:
        if not self.struck:
            self.struck = True
            self.wait()
            raise KeyboardInterrupt
        return super().communicate(input, timeout)


def test_variants_of_a_name_whose_scope_never_ended_go_at_the_close(
    make_session: MakeSession, engine: FakeProvider, clock: FakeClock
) -> None:
    session = make_session()
    clock.sleep(1)
    session.named("web", scope="t")
    engine.create(Spec(name="web"), timeout=1)
    engine.create(Spec(name="web-1"), timeout=1)

    session.close()

    assert not engine.list()


def test_an_engine_that_is_off_delays_a_run_little_however_many_died_before(
    make_session: MakeSession, store: MemoryStore, clock: FakeClock
) -> None:
    for number in range(8):
        dead = make_session(id=f"dead-{number}", settings=Settings(backend="fake", sweep=SweepMode.OFF))
        dead.create()
        assert isinstance(dead.ledger, FileLedger)
        dead.ledger.abandon()
    store.set_faults(Faults((Fault("list", "unavailable"),)))
    begun = clock.monotonic()

    make_session()

    assert clock.monotonic() - begun <= 2, "one short look for all, on the fake clock"


def test_a_signal_while_a_session_opens_ends_it_in_good_order(plugins: Plugins, tmp_path: Path) -> None:
    plugins.install(
        """
        import os, signal
        from vmharness import Lifecycle

        class Struck(Lifecycle):
            def opened(self, session):
                print(len(list(session.ledgers.paths())))
                os.kill(os.getpid(), signal.SIGTERM)
        """,
        """
        [vmharness.lifecycle]
        struck = plug:Struck
        """,
    )

    status, said = plugins.run(
        """
        from vmharness import Settings, open_session
        settings = Settings(backend="fake", lifecycle=("signals", "struck"))
        with open_session(settings=settings, environ={"VMHARNESS_STATE_DIR": sys.argv[2]}):
            print("entered")
        """,
        str(tmp_path / "state"),
    )

    assert said == ["1"]
    assert status == -signal.SIGTERM, "it dies of the signal, as its handlers are restored"
    assert not list((tmp_path / "state").rglob("*.ledger"))


def test_a_forked_child_dies_of_the_signal_that_its_parent_would_handle() -> None:
    status, said = run(
        """
        from vmharness.lifecycle.signals import Signals
        signals = Signals()
        signals.install()
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            try:
                os.write(writer, b"ready")
                signal.pause()
            finally:
                os._exit(1)
        os.read(reader, 5)
        os.kill(child, signal.SIGTERM)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        signals.restore()
        """
    )

    assert (status, said) == (0, [str(int(-signal.SIGTERM))])


def test_an_interrupt_kills_the_children_of_a_leader_that_has_ended(tmp_path: Path) -> None:
    fifo = tmp_path / "held"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    commands = Commands(Interrupted)
    command = CommandLine("sh", backend="test", popen=commands.popen)
    try:
        with pytest.raises(KeyboardInterrupt):
            command.run(["-c", f'exec 3>"$1"; sleep {FOREVER} & exit 0', "sh", str(fifo)], timeout=60)

        ended, _, _ = select.select([reader], [], [], 10)
        assert ended, "the child holds its end of the pipe for as long as it lives"
    finally:
        os.close(reader)
        (process,) = commands.started
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):  # macOS refuses where all of the group are dead
            pass


def test_no_pipe_stays_open_after_a_deadline_while_input_was_written() -> None:
    commands = Commands()
    command = CommandLine("sleep", backend="test", popen=commands.popen)

    with pytest.raises(TimeoutError):
        command.run([FOREVER], timeout=0.0, input=b"x" * 1_000_000)

    (process,) = commands.started
    pipes = (process.stdin, process.stdout, process.stderr)
    closed = [pipe is not None and pipe.closed for pipe in pipes]
    for pipe in pipes:
        if pipe is not None:
            pipe.close()
    assert closed == [True, True, True]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user whom nobody knows")
def test_a_user_without_home_and_password_entry_has_a_state_folder_all_the_same() -> None:
    status, said = run(
        """
        import platformdirs
        from vmharness._places import state_folder
        os.setuid(int(sys.argv[2]))
        print(state_folder({}))
        """,
        str(NOBODY),
        environ={"PATH": os.environ["PATH"]},
    )

    assert status == 0
    assert [Path(line).name for line in said] == [f"vmharness-{NOBODY}"]


def test_a_backend_that_fails_an_assertion_on_import_is_a_plugin_error(plugins: Plugins) -> None:
    plugins.install(
        "assert False, 'oops'",
        """
        [vmharness.backends]
        bad = plug:connect
        """,
    )

    said = plugins.run_alone(
        """
        try:
            open_provider("bad")
        except PluginError as exc:
            print(exc)
        """
    )

    assert said == [
        "cannot load plugin 'bad' (plug:connect): AssertionError: oops; upgrade or uninstall plug 1.0"
    ]


def test_the_choice_of_an_engine_passes_over_a_backend_with_a_defect(plugins: Plugins) -> None:
    plugins.install(
        """
        from vmharness_fake import FakeProvider, MemoryStore

        class Good(FakeProvider):
            auto_rank = 2

        class Bad(FakeProvider):
            auto_rank = 1

            def list(self):
                print("asked")
                raise ValueError("no JSON")

        def good(endpoint=None):
            return Good(MemoryStore())

        def bad(endpoint=None):
            return Bad(MemoryStore())
        """,
        """
        [vmharness.backends]
        bad = plug:bad
        good = plug:good
        """,
    )

    assert plugins.run_alone("print(choose_provider()[0])") == ["asked", "good"]
