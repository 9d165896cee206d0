"""Steps are written in order and a figure that is not finite is named with its batch."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from svipctl.errors import CheckFailed
from svipctl.training.step import FIGURES
from svipctl.training.step_log import StepLog


def log(written: list[Any], sums: tuple[float, ...] = ()) -> StepLog:
    return StepLog(
        2,
        sums,
        learning_rate=lambda step: step / 10,
        images=lambda step: [f"{step}/{number}.jpg" for number in range(5)],
        write=written.extend,
    )


@given(cuts=st.lists(st.booleans(), min_size=6, max_size=6))
def test_means_and_records_do_not_depend_on_when_they_are_read(cuts: list[bool]) -> None:
    rows = torch.rand(6, len(FIGURES), generator=torch.Generator().manual_seed(0))
    written: list[Any] = []
    one = log(written)
    for step, (row, read) in enumerate(zip(rows, cuts)):
        one.add(step, row)
        if read:
            one.read()
    one.read()
    assert [(record["epoch"], record["step"], record["lr"]) for record in written] == [
        (3, step + 1, step / 10) for step in range(6)
    ]
    expected = [math.fsum(column) / 6 for column in rows.T.tolist()]
    means = one.means(6)
    assert means["loss"] == pytest.approx(expected[0])
    assert means["accuracy"] == pytest.approx(100 * expected[FIGURES.index("accuracy")])


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_figure_that_is_not_finite_names_step_term_and_images(name: str, value: float) -> None:
    written: list[Any] = []
    one = log(written)
    row = torch.ones(len(FIGURES))
    one.add(0, row)
    wrong = row.clone()
    wrong[FIGURES.index(name)] = value
    one.add(1, wrong)
    one.add(2, wrong)
    with pytest.raises(CheckFailed, match="epoch 3, step 2") as failed:
        one.read()
    assert f"{name} is {value}" in failed.value.why
    assert "1/0.jpg, 1/1.jpg, 1/2.jpg and 2 more" in failed.value.why
    assert [record["step"] for record in written] == [1], "what came before is kept"
