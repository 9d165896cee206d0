"""Batches in order, and randomness that depends on seed, epoch and image alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from svipctl.datasets.folder import open_folder
from svipctl.datasets.images import Transform, decode
from svipctl.datasets.loader import ImageDataset, Sample, batches, epoch_order
from svipctl.datasets.workers import explained_lost_workers
from svipctl.errors import ResourceError


def test_the_random_part_depends_on_seed_epoch_and_image_only(shared_folder: Path) -> None:
    benchmark = open_folder(shared_folder)
    transform = Transform(32, augment="crop-and-flip")

    def sample(order: list[int], wanted: int, seed: int = 1, epoch: int = 0) -> torch.Tensor:
        dataset = ImageDataset(benchmark, np.array(order), transform, seed=seed, epoch=epoch)
        found = dataset[order.index(wanted)]
        assert isinstance(found, Sample)
        assert found.image_index == wanted
        return found.image

    first = sample([5, 6, 7], 6)
    assert torch.equal(first, sample([6], 6))
    assert torch.equal(first, sample([9, 7, 6], 6))
    assert not torch.equal(first, sample([6], 6, seed=2))
    assert not torch.equal(first, sample([6], 6, epoch=1))


def test_the_order_of_an_epoch_is_a_permutation_of_its_own() -> None:
    indices = np.arange(3, 40)
    one = epoch_order(indices, seed=1, epoch=0, shuffle=True)
    assert np.array_equal(np.sort(one), indices)
    assert np.array_equal(one, epoch_order(indices, seed=1, epoch=0, shuffle=True))
    assert not np.array_equal(one, epoch_order(indices, seed=1, epoch=1, shuffle=True))
    assert not np.array_equal(one, epoch_order(indices, seed=2, epoch=0, shuffle=True))
    assert np.array_equal(indices, epoch_order(indices, seed=1, epoch=0, shuffle=False))


def test_batches_keep_the_order_and_the_last_may_be_smaller(shared_folder: Path) -> None:
    benchmark = open_folder(shared_folder)
    order = np.array([4, 0, 9, 2, 7])
    found = list(batches(ImageDataset(benchmark, order, Transform(32)), 2))
    assert [indices.tolist() for _, indices, _ in found] == [[4, 0], [9, 2], [7]]
    assert torch.equal(found[2].images[0], Transform(32)(decode(benchmark.image_path(7))))


@pytest.mark.parametrize(
    ("said", "is_loss"),
    [
        ("DataLoader worker (pid 7) is killed by signal: Killed.", True),
        ("DataLoader worker (pid(s) 7) exited unexpectedly", True),
        ("Pin memory thread exited unexpectedly", True),  # with a GPU, and the worker's last batch on the way
        ("shapes do not match", False),
    ],
)
def test_what_says_that_a_worker_is_lost(said: str, is_loss: bool) -> None:
    expected = pytest.raises(ResourceError if is_loss else RuntimeError, match="was killed" if is_loss else said)
    with expected, explained_lost_workers("again"):
        raise RuntimeError(said)
