"""Signals turn into an orderly end: shown in processes of their own, for a signal is the whole process's."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from vmharness import Session
from vmharness._ledger import FileLedgers
from vmharness._threads import run_parallel
from vmharness.lifecycle.signals import Signals, Terminated
from vmharness_fake import connect

MakeSession = Callable[..., Session]

PREAMBLE = """
import json, os, signal, sys
sys.path[:0] = json.loads(sys.argv[1])
from vmharness.lifecycle.signals import Signals, Terminated

def strike(number=signal.SIGTERM):
    os.kill(os.getpid(), number)

def handler(number=signal.SIGTERM):
    return signal.getsignal(number)

signals = Signals()
"""


def run(script: str, *args: str) -> tuple[int, list[str]]:
    """Run a script in a Python of its own; return how it ended and the lines it wrote."""
    done = subprocess.run(
        [sys.executable, "-u", "-c", PREAMBLE + textwrap.dedent(script), json.dumps(sys.path), *args],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout.splitlines()


def test_the_handlers_before_are_restored() -> None:
    status, said = run(
        """
        def own(number, frame): ...
        signal.signal(signal.SIGTERM, own)
        signals.install()
        print(handler() is own, handler(signal.SIGHUP) is signal.SIG_DFL)
        signals.restore()
        print(handler() is own, handler(signal.SIGHUP) is signal.SIG_DFL)
        """
    )

    assert (status, said) == (0, ["False False", "True True"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_interrupts_like_ctrl_c_and_the_process_dies_of_it_at_the_end(number: int) -> None:
    status, said = run(
        f"""
        signals.install()
        try:
            strike({number})
            print("not interrupted")
        except KeyboardInterrupt as exc:
            print(repr(exc))
        print("cleaned up")
        signals.restore()
        print("still there")
        """
    )

    name = signal.Signals(number).name
    assert (status, said) == (-number, [f"Terminated('{name}')", "cleaned up"])


def test_a_second_signal_interrupts_the_clean_up_and_the_first_is_what_it_dies_of() -> None:
    status, said = run(
        """
        signals.install()
        for number in (signal.SIGHUP, signal.SIGTERM):
            try:
                strike(number)
            except Terminated as exc:
                print(exc)
        signals.restore()
        """
    )

    assert (status, said) == (-signal.SIGHUP, ["SIGHUP", "SIGTERM"])


def test_without_a_signal_nobody_dies() -> None:
    assert run("signals.install(); signals.restore(); print('there')") == (0, ["there"])


def test_restoring_twice_is_no_second_death() -> None:
    status, said = run(
        """
        signals.restore()
        signal.signal(signal.SIGTERM, lambda number, frame: None)
        signals.install()
        try:
            strike()
        except Terminated:
            pass
        signals.restore()
        signals.restore()
        print("there")
        """
    )

    assert (status, said) == (0, ["there"])


def test_an_ignored_signal_stays_ignored() -> None:
    status, said = run(
        """
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signals.install()
        strike(signal.SIGHUP)
        print(handler(signal.SIGHUP) is signal.SIG_IGN)
        signals.restore()
        print(handler(signal.SIGHUP) is signal.SIG_IGN)
        """
    )

    assert (status, said) == (0, ["True", "True"])


def test_pythons_own_interrupt_stays() -> None:
    status, said = run(
        """
        signals.install()
        print(handler(signal.SIGINT) is signal.default_int_handler)
        """
    )

    assert (status, said) == (0, ["True"])


def test_where_an_interrupt_would_kill_it_is_made_orderly_too() -> None:
    status, said = run(
        """
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signals.install()
        try:
            strike(signal.SIGINT)
        except KeyboardInterrupt:
            print("orderly")
        signals.restore()
        """
    )

    assert (status, said) == (-signal.SIGINT, ["orderly"])


def test_a_handler_before_is_called_first_and_nobody_dies_of_the_signal() -> None:
    status, said = run(
        """
        def own(number, frame):
            print("own", number == signal.SIGTERM, frame.f_code.co_name)
        signal.signal(signal.SIGTERM, own)
        signals.install()
        try:
            strike()
        except Terminated:
            print("orderly")
        signals.restore()
        print(handler() is own)
        """
    )

    assert (status, said) == (0, ["own True strike", "orderly", "True"])


def test_a_handler_before_that_raises_does_not_get_in_the_way() -> None:
    status, said = run(
        """
        def own(number, frame):
            sys.exit("bye")
        signal.signal(signal.SIGTERM, own)
        signals.install()
        try:
            strike()
        except Terminated as exc:
            print(repr(exc.__cause__))
        """
    )

    assert (status, said) == (0, ["SystemExit('bye')"])


def test_who_took_a_signal_over_in_between_keeps_it() -> None:
    status, said = run(
        """
        def later(number, frame): ...
        signals.install()
        signal.signal(signal.SIGTERM, later)
        signals.restore()
        print(handler() is later, handler(signal.SIGHUP) is signal.SIG_DFL)
        """
    )

    assert (status, said) == (0, ["True True"])


def test_a_signal_is_sent_again_once() -> None:
    status, said = run(
        """
        signals.install()
        try:
            strike()
        except Terminated:
            print("orderly")
        signal.signal(signal.SIGTERM, lambda number, frame: print("again"))
        signals.restore()
        signals.restore()
        """
    )

    assert (status, said) == (0, ["orderly", "again"])


def test_two_may_be_nested_as_sessions_are() -> None:
    status, said = run(
        """
        inner = Signals()
        signals.install()
        inner.install()
        try:
            strike()
        except Terminated:
            print("orderly")
        inner.restore()
        print("inner closed")
        signals.restore()
        print("still there")
        """
    )

    assert (status, said) == (-signal.SIGTERM, ["orderly", "inner closed"])


def test_a_whole_session_goes_in_good_order_and_its_process_dies_of_the_signal(tmp_path: Path) -> None:
    status, said = run(
        """
        from vmharness import open_session
        os.environ["VMHARNESS_FAKE_DIR"] = sys.argv[2]
        with open_session(backend="fake", environ={"VMHARNESS_STATE_DIR": sys.argv[3]}) as session:
            session.create()
            print(len(session.provider().list()))
            strike()
        print("still there")
        """,
        str(tmp_path / "engine"),
        str(tmp_path / "state"),
    )

    assert (status, said) == (-signal.SIGTERM, ["1"])
    assert not connect(f"folder:{tmp_path / 'engine'}").list()
    assert not list(FileLedgers(tmp_path / "state").paths())


def test_outside_the_main_thread_it_is_reported_and_nothing_is_handled(make_session: MakeSession) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)]

    (session,) = run_parallel(lambda plugin: make_session(plugin), [Signals()])

    assert "signals are not handled: the session was opened outside the main thread" in session.tally.reports
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)] == before
    session.close()


def test_an_interrupt_by_signal_is_an_interrupt() -> None:
    with pytest.raises(KeyboardInterrupt):
        raise Terminated("SIGTERM")
