"""Deaths at their moments on real engines: a selection, or all if VMHARNESS_TEST_MATRIX is `whole`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from faultlab.cells import Backend, Cell, Death, cells
from faultlab.daemons import reason_against_engines
from faultlab.lab import Inhabited, Lab
from faultlab.play import play
from faultlab.selection import selected
from faultlab.stage import Stage

WHOLE = os.environ.get("VMHARNESS_TEST_MATRIX") == "whole"
PLAYED = [
    pytest.param(backend, cell, id=f"{backend}-{cell.id}")
    for backend in (Backend.DOCKER, Backend.LXD)
    for cell in (cells(backend) if WHOLE else selected(backend))
]


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab(tmp_path_factory.mktemp("lab"))
    yield lab
    lab.close()


@pytest.fixture
def engine(request: pytest.FixtureRequest, lab: Lab, backend: Backend, cell: Cell) -> Inhabited:
    """The environment's engine, or if it is to be killed one of our own."""
    request.getfixturevalue(f"{backend}_engine")
    if cell.death in (Death.RESTART, Death.OFF):
        if reason := reason_against_engines():
            (pytest.fail if os.environ.get("VMHARNESS_TEST_ENGINES") == "required" else pytest.skip)(reason)
        return lab.killable(backend)
    if backend is Backend.DOCKER:
        socket = Path(urlsplit(os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")).path)
    else:
        socket = Path(os.environ.get("LXD_DIR", "/var/lib/lxd")) / "unix.socket"
    return lab.shared(backend, socket, request.getfixturevalue(f"{backend}_image"))


@pytest.mark.parametrize(("backend", "cell"), PLAYED)
def test_death_leaves_nothing(engine: Inhabited, cell: Cell, lab: Lab, tmp_path: Path) -> None:
    under_test, others = engine
    stage = Stage(under_test, tmp_path)
    with lab.neighbour.session(under_test, stage.state) as near:
        try:
            play(cell, stage, {*others, near})
        finally:
            stage.close()
            under_test.remove(under_test.names() - {*others, near})
