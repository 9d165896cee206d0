"""Test windows: which patch belongs to which window."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from svipctl.errors import ConfigError
from svipctl.model.windows import WindowGrid, top_mask

grids = st.builds(
    lambda rows, columns, side: WindowGrid(rows * side, columns * side, side),
    st.integers(1, 5),
    st.integers(1, 5),
    st.integers(1, 3),
)


@settings(max_examples=50)
@given(grid=grids, batch=st.integers(1, 3), width=st.integers(1, 4))
def test_ungroup_undoes_group(grid: WindowGrid, batch: int, width: int) -> None:
    tokens = torch.arange(batch * grid.patches * width).reshape(batch, grid.patches, width)
    windows = grid.group(tokens)
    assert windows.shape == (batch, grid.windows, grid.patches_per_window * width)
    assert torch.equal(grid.ungroup(windows), tokens)


@settings(max_examples=50)
@given(grid=grids, width=st.integers(1, 3))
def test_each_window_contains_its_patches_in_raster_order(grid: WindowGrid, width: int) -> None:
    image = np.arange(grid.patches * width).reshape(grid.rows, grid.columns, width)
    expected = [
        image[top : top + grid.side, left : left + grid.side].ravel()
        for top in range(0, grid.rows, grid.side)
        for left in range(0, grid.columns, grid.side)
    ]
    grouped = grid.group(torch.from_numpy(image.reshape(1, grid.patches, width)))
    np.testing.assert_array_equal(grouped[0].numpy(), expected)


def test_second_window_of_a_14x14_grid_starts_with_patches_2_3_16_17() -> None:
    grid = WindowGrid(14, 14, 2)
    assert grid.windows == 49
    assert grid.group(torch.arange(196).reshape(1, 196, 1))[0, 1].tolist() == [2, 3, 16, 17]


@settings(max_examples=30)
@given(grid=grids, seed=st.integers(0, 1000))
def test_average_is_the_mean_over_each_square(grid: WindowGrid, seed: int) -> None:
    scores = np.random.default_rng(seed).standard_normal((2, grid.rows, grid.columns))
    expected = scores.reshape(2, grid.rows // grid.side, grid.side, grid.columns // grid.side, grid.side).mean((2, 4))
    computed = grid.average(torch.from_numpy(scores.reshape(2, -1)))
    np.testing.assert_allclose(computed.numpy(), expected.reshape(2, -1), atol=1e-12)


def test_average_runs_takes_consecutive_patches_instead_of_windows() -> None:
    grid = WindowGrid(4, 4, 2)
    scores = torch.arange(16.0).unsqueeze(0)
    assert grid.average_runs(scores).tolist() == [[1.5, 5.5, 9.5, 13.5]]
    assert grid.average(scores).tolist() == [[2.5, 4.5, 10.5, 12.5]]


@pytest.mark.parametrize(("rows", "columns", "side"), [(7, 7, 2), (4, 6, 4), (4, 4, 0), (4, 4, -2), (2, 2, 3)])
def test_a_window_that_does_not_tile_the_grid_is_refused(rows: int, columns: int, side: int) -> None:
    with pytest.raises(ConfigError, match=rf"side {side} do not tile a grid of {rows}x{columns}"):
        WindowGrid(rows, columns, side)


@settings(max_examples=60)
@given(data=st.data(), size=st.integers(1, 12))
def test_top_mask_marks_exactly_count_scores_none_below_an_unmarked_one(data: st.DataObject, size: int) -> None:
    scores = torch.tensor([data.draw(st.lists(st.integers(-3, 3), min_size=size, max_size=size)) for _ in range(2)])
    count = data.draw(st.integers(1, size))
    mask = top_mask(scores.float(), count)
    assert mask.sum(dim=-1).tolist() == [count, count]
    for row, marked in zip(scores, mask):
        assert marked.all() or row[marked].min() >= row[~marked].max()
