"""The matrix as a page of the reference: `python -m faultlab.table docs/reference/deaths.md` writes it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from faultlab.cells import Cell, Death, Layer, Moment, Runner, all_cells, reason_against

__all__ = ["page"]

_WORDS: Final = {
    Layer.EXIT: "the run itself, before its process ends",
    Layer.RUN: "the run's workers, before they end, or their reapers within 5 s of that",
    Layer.REAPER: "the reaper, within 5 s and the engine's own time",
    Layer.NEXT: "the next session, before its process ends",
}


def page() -> str:
    """Return the page as Markdown."""
    lines = [
        "# Deaths of a run, and who cleans up",
        "",
        "Generated from the tests: in each entry a real pytest process dies at that moment, and then the",
        "test looks at what the engine has. Beside the run live machines of strangers with names like ours,",
        "and of two other sessions; all of them must still be there. The layers that aren't named are off.",
        "",
        *(f"- **{layer}**: {words}" for layer, words in _WORDS.items()),
        "- —: makes no sense, for a reason below",
        "",
    ]
    for runner in Runner:
        lines += [
            f"## {runner}",
            "",
            "| death | " + " | ".join(Moment) + " |",
            "|---" * (len(Moment) + 1) + "|",
        ]
        for death in Death:
            cells = [Cell(death, moment, runner) for moment in Moment]
            marks = ["—" if reason_against(cell) else str(cell.layer) for cell in cells]
            if set(marks) != {"—"}:
                lines.append(f"| {death} | " + " | ".join(marks) + " |")
        lines.append("")
    lines += ["## What is left out", ""]
    reasons: dict[str, list[Death]] = {}
    for cell in all_cells():
        if reason := reason_against(cell):
            found = reasons.setdefault(reason, [])
            if cell.death not in found:
                found.append(cell.death)
    lines += [
        f"- {reason} ({'; '.join(deaths)})" for reason, deaths in reasons.items() if len(deaths) < len(Death)
    ]
    lines += [f"- {reason}" for reason, deaths in reasons.items() if len(deaths) == len(Death)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page())
