"""Test that steps are written in order, and that a figure that is not finite is an error that names its batch."""

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


def log(written: list[Any], sums: dict[str, float] | None = None, *, published: bool = False) -> StepLog:
    return StepLog(
        2,
        sums or {},
        learning_rate=lambda step: step / 10,
        images=lambda step: [f"{step}/{number}.jpg" for number in range(5)],
        write=written.extend,
        published=published,
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
    assert means["source_accuracy"] == pytest.approx(100 * expected[FIGURES.index("source_accuracy")])


def test_the_published_accuracy_is_that_of_the_contextualized_pass_and_only_in_its_recipe() -> None:
    row = torch.zeros(len(FIGURES))
    row[FIGURES.index("source_accuracy")], row[FIGURES.index("contextualized_accuracy")] = 0.25, 0.75
    for published in (True, False):
        written: list[Any] = []
        one = log(written, published=published)
        one.add(0, row)
        one.read()
        for record in (written[0], one.means(1)):
            assert (record["source_accuracy"], record["contextualized_accuracy"]) == (25, 75)
            assert record.get("accuracy") == (75 if published else None)


def test_a_figure_missing_in_the_first_steps_of_an_epoch_has_no_mean() -> None:
    """Release 0.1 counted one accuracy in an epoch."""
    written: list[Any] = []
    one = log(written, {"loss": 3.0, "source_accuracy": 0.5})
    one.add(1, torch.ones(len(FIGURES)))
    one.read()
    assert one.means(2) == {"loss": 2.0, "source_accuracy": 75.0}
    assert written[0]["contextualized_accuracy"] == 100


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
