"""What the commands print, also after a signal has struck in the middle of a print."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import pytest

from vmharness.cli._common import renew_consoles, say
from vmharness.cli._stopping import Stopped


class Strike:
    """Raises Stopped at the n-th line of whatever code runs.

    Args:
        line: n.
    """

    def __init__(self, line: int) -> None:
        self.left = line

    def __call__(self, frame: FrameType, event: str, arg: Any) -> Any:
        if event in ("line", "return") and "/rich/console" in frame.f_code.co_filename.replace("\\", "/"):
            self.left -= 1
            if self.left < 0:
                sys.settrace(None)
                raise Stopped(15)
        return self


def struck(line: int) -> bool:
    """Whether a print was struck at a line; False if it was over by then."""
    before = sys.gettrace()
    sys.settrace(Strike(line))
    try:
        say("before")
    except Stopped:
        return True
    finally:
        sys.settrace(before)
    return False


def test_what_is_said_after_a_signal_is_seen_wherever_it_struck(capsys: pytest.CaptureFixture[str]) -> None:
    renew_consoles()
    say("warm")
    unseen: list[int] = []
    line = 0
    while struck(line):
        renew_consoles()
        say("after")
        if "after\n" not in capsys.readouterr().out:
            unseen.append(line)
        line += 1
    renew_consoles()  # for other tests: this console prints where this test's output is captured

    assert line > 100
    assert unseen == []
