"""The reference's table of deaths is the one that is tested."""

from __future__ import annotations

from pathlib import Path

from faultlab.table import page


def test_the_page_is_what_the_matrix_says() -> None:
    """If not: PYTHONPATH=tests/support python -m faultlab.table docs/reference/deaths.md."""
    assert (Path(__file__).parents[2] / "docs/reference/deaths.md").read_text() == page()
