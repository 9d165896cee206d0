"""Test that batches are divided among processes without omission or repetition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from svipctl.distributed.ranks import Ranks
from svipctl.distributed.shard import Shard
from svipctl.errors import ConfigError


@given(st.integers(1, 60), st.integers(1, 16), st.integers(1, 5), st.integers(0, 2**31))
def test_each_image_of_a_batch_is_computed_once_and_the_weights_are_shares(
    images: int, batch_size: int, world: int, seed: int
) -> None:
    if batch_size < world:
        batch_size = world
    order = np.random.default_rng(seed).permutation(images)
    shards = [Shard(order, batch_size, Ranks(rank, world)) for rank in range(world)]
    for step in range(-(-images // batch_size)):
        batch = order[step * batch_size : (step + 1) * batch_size]
        weights = [shard.weight(step) for shard in shards]
        computed = [shard.indices(step, step + 1) for shard in shards]
        counted = [index for weight, mine in zip(weights, computed) if weight for index in mine]
        assert counted == list(batch)
        assert sum(weights) == pytest.approx(1)
        for weight, mine in zip(weights, computed):
            assert len(mine) == max(1, round(weight * len(batch)))


@given(st.integers(1, 60), st.integers(3, 16), st.integers(1, 3), st.integers(0, 4), st.integers(0, 4))
def test_several_steps_equal_consecutive_steps(images: int, batch_size: int, world: int, start: int, more: int) -> None:
    steps = -(-images // batch_size)
    start, stop = min(start, steps), min(start + more, steps)
    shard = Shard(np.arange(images), batch_size, Ranks(world - 1, world))
    one_by_one = [index for step in range(start, stop) for index in shard.indices(step, step + 1)]
    assert shard.indices(start, stop).tolist() == one_by_one


def test_fewer_images_per_batch_than_processes_are_refused() -> None:
    with pytest.raises(ConfigError, match="batch of 3 cannot be divided among 4 processes"):
        Shard(np.arange(9), 3, Ranks(0, 4))
