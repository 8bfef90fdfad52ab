"""The table of what was played, which CI prints."""

from __future__ import annotations

from faultlab.cells import Death, Moment, Runner
from faultlab.played import page

REPORT = """\
<testsuites><testsuite>
<testcase classname="tests.engines.test_deaths" name="test_death_leaves_nothing[lxd-kill-body-plain]" />
<testcase classname="tests.engines.test_deaths" name="test_death_leaves_nothing[docker-kill-body-plain]" />
<testcase classname="tests.engines.test_deaths" name="test_death_leaves_nothing[lxd-sigint_twice-end-xdist]">
<failure message="AssertionError" /></testcase>
<testcase classname="tests.engines.test_deaths" name="test_death_leaves_nothing[docker-exit-end-xdist]">
<skipped message="no engine" /></testcase>
</testsuite></testsuites>
"""


def entries(line: str) -> list[str]:
    return [entry.strip() for entry in line.split("|")]


def test_it_shows_on_which_engines_each_death_passed() -> None:
    plain, killed, xdist, interrupted, exited = page(REPORT).splitlines()

    assert entries(plain) == [Runner.PLAIN, *Moment]
    assert entries(xdist) == [Runner.XDIST, *Moment]
    assert entries(killed) == [
        Death.KILL,
        *("DL" if moment is Moment.BODY else "" for moment in Moment),
    ]
    assert entries(interrupted)[0] == Death.SIGINT_TWICE
    assert entries(interrupted)[1 + list(Moment).index(Moment.END)] == "L!"
    assert entries(exited)[0] == Death.EXIT
    assert "D!" in entries(exited)
