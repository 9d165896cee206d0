"""Test that images and attributes are chosen by part, class and name, and spread evenly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from svipctl.datasets.benchmark import spread
from svipctl.errors import ConfigError, DataError
from svipctl.visuals.image_choice import attribute_numbers, images_of
from tests.evaluation.cases import benchmark


def test_parts_of_the_split_and_classes_choose_images(tmp_path: Path) -> None:
    data = benchmark(tmp_path)
    split = data.split()
    assert images_of(data, split, "train").tolist() == [0, 1, 4, 5]
    assert images_of(data, split, "seen").tolist() == [8, 9]
    assert images_of(data, split, "unseen").tolist() == [2, 3, 6, 7, 10, 11]
    assert images_of(data, split, "test").tolist() == [8, 9, 2, 3, 6, 7, 10, 11]
    assert images_of(data, split, "test", ["c", "a"]).tolist() == [8, 2, 6, 10]
    with pytest.raises(DataError, match="no train image of c"):
        images_of(data, split, "train", ["c"])
    with pytest.raises(ConfigError, match="no class 'e'"):
        images_of(data, split, "train", ["a", "e"])
    assert attribute_numbers(data, ["a3", "a0"]) == (3, 0)
    with pytest.raises(ConfigError, match="no attribute 'b0'"):
        attribute_numbers(data, ["b0"])


@pytest.mark.parametrize(("length", "count"), [(100, 16), (16, 16), (5, 16), (17, 16), (3, 1), (1000, 7)])
def test_a_spread_has_both_ends_no_duplicates_and_equal_steps(length: int, count: int) -> None:
    chosen = spread(np.arange(length), count)
    assert len(set(chosen.tolist())) == len(chosen) == min(length, count)
    assert chosen[0] == 0
    steps = np.diff(chosen)
    assert not len(steps) or (steps.min() > 0 and steps.max() - steps.min() <= 1)
    assert count == 1 or chosen[-1] == length - 1
