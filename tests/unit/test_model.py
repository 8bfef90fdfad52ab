"""The values that all parts exchange: they change under nobody, and survive the way between processes."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError, fields
from typing import Final

import pytest

from vmharness import CommandResult, Kind, MachineInfo, MachineState, Record, Spec, State, _model

VALUES: Final = (
    Spec(name="web", labels={"a": "b"}),
    MachineInfo(name="web", state=MachineState.RUNNING, labels={"a": "b"}),
    CommandResult(status=0, stdout="", stderr=""),
    Record(
        id="r1",
        name="web",
        backend="fake",
        endpoint="memory:1",
        token="t" * 32,
        deadline=2.0,
        scope="",
        state=State.WANTED,
        wanted_at=1.0,
        at=1.0,
    ),
)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_is_frozen_and_pickles(value: object) -> None:
    name = fields(value)[0].name  # type: ignore[arg-type]

    with pytest.raises(FrozenInstanceError):
        setattr(value, name, "other")
    assert pickle.loads(pickle.dumps(value)) == value  # noqa: S301 - our own


@pytest.mark.parametrize("kind", [Spec, MachineInfo, CommandResult, Record])
def test_its_fields_are_named_when_it_is_made(kind: type) -> None:
    with pytest.raises(TypeError):
        kind("web")


def test_two_specs_share_no_labels() -> None:
    assert Spec(name="a").labels is not Spec(name="b").labels


@pytest.mark.parametrize("enum", [Kind, MachineState, State])
def test_a_state_is_the_word_that_is_written(enum: type[Kind] | type[MachineState] | type[State]) -> None:
    assert all(f"{member}" == member.value == member.name.lower() for member in enum)


def test_our_labels_are_told_apart_and_are_ours() -> None:
    keys = [value for name, value in vars(_model).items() if name.startswith("LABEL_")]

    assert len(set(keys)) == len(keys) == 6
    assert all(key.startswith("vmharness.") for key in keys)
