"""The demo's acts, told to the user while they happen; what it says at the end is read from the engine."""

from __future__ import annotations

import os
import shlex
import signal
from collections.abc import Callable, Sequence
from typing import Any, Final

from rich.syntax import Syntax
from rich.text import Text

from vmharness._model import MachineInfo, State
from vmharness._plugins import open_provider
from vmharness._settings import DEFAULT_LIFECYCLE
from vmharness.cli._common import console, say, table
from vmharness.cli._demo_runs import History, Run, Watch, run_pytest
from vmharness.cli._demo_stage import Folder, Stage
from vmharness.errors import ProviderError
from vmharness.provider import ShowsDelete

__all__ = ["Play"]

# The reaper would be faster than the next run, which the play wants to show.
_OFF: Final = {"VMHARNESS_LIFECYCLE": ",".join(name for name in DEFAULT_LIFECYCLE if name != "reaper")}
_BAR: Final = "│ "
# Wide enough for pytest, and no wider where the output is piped.
_WIDTH: Final = 120


class Play:
    """Three acts, before them the stage, and after them what is left.

    Args:
        folder: The demo's folder.
        stage: Where it plays.
        stderr: Whether standard output is for JSON only.

    Attributes:
        problems: What didn't go as planned, one sentence each.
    """

    def __init__(self, folder: Folder, stage: Stage, *, stderr: bool) -> None:
        self._folder = folder
        self._stage = stage
        self._stderr = stderr
        self._console = console(stderr=stderr)
        self._width = min(self._console.width, _WIDTH)
        self._watch = Watch(folder.ledgers)
        self._runs: list[Run] = []
        self._killed: list[MachineInfo] = []
        self._rows: list[dict[str, str]] = []
        self.problems: list[str] = []

    def perform(self) -> Sequence[MachineInfo]:
        """Play it all; return what is left in the end, as read from the engine."""
        try:
            self.prologue()
            self.first_act()
            self.second_act()
            self.third_act()
            return self.epilogue()
        finally:
            self._watch.close()

    # -- acts

    def prologue(self) -> None:
        """Say where it plays, and show the suite."""
        stage = self._stage
        if stage.is_fake and stage.reasons:
            self._say("No engine of yours can be used:", style="yellow")
            for reason in stage.reasons:
                self._say(f"  {reason}", style="dim")
        if stage.is_fake:
            self._say("The machines are made up; pytest, its processes and their deaths are real.\n")
        self._say(f"Engine:  {stage.engine_in_words()} (backend {stage.backend})")
        self._say(f"Image:   {stage.image or 'the default one'}")
        self._say(f"Suite:   {self._folder.suite}")
        for name, text in self._folder.write_suite(stage).items():
            self._say(f"\n{name}", style="bold")
            kind = "toml" if name.endswith(".toml") else "python"
            code = Syntax(text.rstrip(), kind, theme="ansi_dark", background_color="default", word_wrap=True)
            self._console.print(code, width=self._width)

    def first_act(self) -> None:
        """Play tests that pass, fail and time out."""
        self._announce(
            "Act 1 of 3: three tests. One passes; one fails on purpose; one gives up on a create, and the "
            "engine makes that machine all the same, a second too late."
        )
        run = self._pytest("test_machines.py")
        if self._ended(run, 1):
            self._say("As planned: the failure and the error above belong to the play.", style="green")

    def second_act(self) -> None:
        """Kill a run while it creates."""
        self._announce(
            "Act 2 of 3: a run that is killed. SIGKILL strikes pytest as soon as the engine shows the "
            "machine that it is creating: no code of ours or yours gets to clean up."
        )
        self._pytest("test_killed.py", tick=self._kill_when_seen)
        if not self._killed:
            self.problems.append("the second run ended before the engine showed its machine")
            return
        wanted = {history.name for history in self._watch.histories() if history.states == {State.WANTED}}
        for info in self._killed:
            moment = "while it was creating" if info.name in wanted else "when it had just created"
            self._say(f"Killed {moment} {info.name}, which the engine has now.", style="green")

    def third_act(self) -> None:
        """Run again, which sweeps."""
        self._announce(
            "Act 3 of 3: the next run. It finds what the dead one has left, and proof of whose it is. (The "
            "reaper, which deletes that within seconds, is off here: this is what there is without it.)"
        )
        self._ended(self._pytest("test_machines.py", "-k", "passes"), 0)

    def epilogue(self) -> Sequence[MachineInfo]:
        """Say what was made, what removed it, and what is left; return that, as read from the engine."""
        self._announce("What was made, and what removed it:")
        rows = table("MACHINE", "MADE FOR", "REMOVED BY")
        for history in self._watch.histories():
            row = {"name": history.name, "made": self._made(history), "removed_by": self._removed(history)}
            self._rows.append(row)
            rows.add_row(*row.values())
            if history.state is not State.GONE:
                self.problems.append(f"{history.name} is still on the books: {history.state}")
        self._console.print(rows)
        # A new provider: nothing that the first one may have kept is believed.
        provider = open_provider(self._stage.backend)
        left = self._folder.machines(provider)
        for problem in self.problems:
            self._say(f"Not as planned: {problem}", style="red")
        self._say()
        self._say(f"left behind: {len(left)}", style="bold red" if left else "bold green")
        how = f"machines named {self._folder.prefix}-… at {provider.endpoint}"
        self._say(f"({how}, as the engine lists them)", style="dim")
        self._say_left(left)
        return left

    def broken_off(self) -> None:
        """Say what is left after a clean-up in the middle of the play."""
        left = self._folder.machines(open_provider(self._stage.backend))
        self._say(f"\nThe demo was broken off; left behind: {len(left)}", style="bold")
        self._say_left(left)

    def plain(self, left: Sequence[MachineInfo]) -> dict[str, Any]:
        """Return the outcome as plain values."""
        return {
            "backend": self._stage.backend,
            "engine": self._stage.engine,
            "endpoint": self._stage.provider.endpoint,
            "image": self._stage.image,
            "machines": self._rows,
            "left_behind": len(left),
            "left": [info.name for info in left],
            "problems": self.problems,
        }

    # -- runs

    def _pytest(self, *arguments: str, tick: Callable[[int], None] | None = None) -> Run:
        """Run pytest on the suite, and show what it prints beside a bar."""
        color = "yes" if self._console.is_terminal else "no"
        self._say(f"$ pytest {shlex.join(arguments)}", style="bold")
        with self._console.status("starting pytest") as status:
            run = run_pytest(
                [f"--color={color}", *arguments],
                folder=self._folder.suite,
                environ={**self._folder.environ(), **_OFF, "COLUMNS": str(self._width - len(_BAR))},
                show=self._show_line,
                begun=lambda line: status.update(Text.from_ansi(line)),
                tick=tick or self._look,
            )
        self._watch.look()
        self._runs.append(run)
        return run

    def _look(self, pid: int) -> None:
        del pid
        self._watch.look()

    def _show_line(self, line: str) -> None:
        self._console.print(Text.assemble((_BAR, "blue"), Text.from_ansi(line)), soft_wrap=True)

    def _kill_when_seen(self, pid: int) -> None:
        """Kill the run once the engine has its machine."""
        self._watch.look()
        if self._killed:
            return
        try:
            there = self._folder.machines(self._stage.provider)
        except ProviderError:
            return  # asked again in a moment
        if there:
            os.kill(pid, signal.SIGKILL)
            self._killed += there

    def _ended(self, run: Run, status: int) -> bool:
        """Whether the run ended as planned; what did not is a problem."""
        if run.status != status:
            self.problems.append(
                f"run {len(self._runs)} ended with status {run.status} where {status} was planned"
            )
        return run.status == status

    # -- what became of machines

    def _made(self, history: History) -> str:
        """Say what a machine was made for, and what was wrong with that."""
        test = history.scope.rpartition("::")[2]
        if State.MAYBE in history.states:
            return f"{test}, too late"
        if any(run.pid == history.pid and run.status == -signal.SIGKILL for run in self._runs):
            return f"{test}, killed"
        return test

    def _removed(self, history: History) -> str:
        """Say what removed a machine, by when its ledger says that it went."""
        state, at, error = history.steps[-1]
        if state is not State.GONE or error:
            return error or "-"
        own = next(run for run in self._runs if run.pid == history.pid)
        if at > own.ended_at:
            return "the next run's sweep"
        if own.tests_over_at is not None and at > own.tests_over_at:
            return "the session's end"
        return "its test's teardown"

    # -- words

    def _say(self, text: str = "", *, style: str = "") -> None:
        say(text, style=style, stderr=self._stderr)

    def _announce(self, text: str) -> None:
        """Say what comes next, wrapped at words: it is prose, and nobody copies it."""
        self._say()
        self._say("─" * self._width, style="blue")
        self._console.print(text, style="bold", markup=False, width=self._width)

    def _say_left(self, left: Sequence[MachineInfo]) -> None:
        """Name what is left, and the command that removes it."""
        provider = self._stage.provider
        for info in left:
            self._say(f"  {info.name} ({info.state})", style="red")
            if isinstance(provider, ShowsDelete):
                self._say(f"    {shlex.join(provider.delete_argv(info.name))}")
