"""Test the order of batches, and randomness that depends only on seed, epoch and image."""

from __future__ import annotations

import pickle
from contextlib import closing
from multiprocessing import active_children
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from svipctl.datasets.folder import open_folder
from svipctl.datasets.images import Transform, decode
from svipctl.datasets.loader import Batch, ImageLoader, epoch_order, in_batches
from svipctl.datasets.workers import explained_lost_workers
from svipctl.errors import DataError, ResourceError


def test_the_random_part_depends_on_seed_epoch_and_image_only(shared_folder: Path) -> None:
    benchmark = open_folder(shared_folder)
    transform = Transform(32, augment="crop-and-flip")

    def sample(order: list[int], wanted: int, seed: int = 1, epoch: int = 0) -> torch.Tensor:
        found = ImageLoader(benchmark, transform, seed)[epoch, np.array(order)]
        assert isinstance(found, Batch)
        assert found.indices.tolist() == order
        return found.images[order.index(wanted)]

    first = sample([5, 6, 7], 6)
    assert torch.equal(first, sample([6], 6))
    assert torch.equal(first, sample([9, 7, 6], 6))
    assert not torch.equal(first, sample([6], 6, seed=2))
    assert not torch.equal(first, sample([6], 6, epoch=1))


def test_each_epoch_has_its_own_permutation() -> None:
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
    found = list(ImageLoader(benchmark, Transform(32)).batches(in_batches(order, 2)))
    assert [indices.tolist() for _, indices, _ in found] == [[4, 0], [9, 2], [7]]
    assert torch.equal(found[2].images[0], Transform(32)(decode(benchmark.image_path(7))))


def order_of(epochs: int) -> list[tuple[int, NDArray[np.int64]]]:
    """Return batches of 4 of 12 images over the given number of epochs."""
    orders = [epoch_order(np.arange(12), seed=1, epoch=epoch, shuffle=True) for epoch in range(epochs)]
    return [(epoch, order[start : start + 4]) for epoch, order in enumerate(orders) for start in (0, 4, 8)]


def assert_same(one: Batch, other: Batch) -> None:
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_of_several_epochs_are_those_of_each(workers: int, shared_folder: Path) -> None:
    benchmark, transform = open_folder(shared_folder), Transform(32, augment="crop-and-flip")
    order = order_of(3)
    images = ImageLoader(benchmark, transform, 1)
    found = list(images.batches(order, workers=workers))
    assert len(found) == len(order)
    for wanted, batch in zip(order, found):
        (alone,) = images.batches([wanted])
        assert_same(batch, alone)


def test_the_same_workers_decode_every_epoch_and_end_when_the_batches_are_closed(shared_folder: Path) -> None:
    before = set(active_children())
    images = ImageLoader(open_folder(shared_folder), Transform(32, augment="flip"), 1)
    with closing(images.batches(order_of(4), workers=2)) as found:
        workers = []
        for _ in range(3):
            next(found)
            workers.append(set(active_children()) - before)
            next(found), next(found)
    assert len(workers[0]) == 2
    assert workers[0] == workers[1] == workers[2]
    assert set(active_children()) == before


def test_an_undecodable_image_is_named(small_folder: Path) -> None:
    benchmark = open_folder(small_folder)
    (small_folder / benchmark.images[3]).write_bytes(b"no image")
    images = ImageLoader(benchmark, Transform(32), 1)
    for workers in (0, 2):
        with pytest.raises(DataError, match=Path(benchmark.images[3]).name):
            list(images.batches([(0, np.array([1, 2])), (0, np.array([3, 4]))], workers=workers))


def test_training_images_can_be_sent_to_a_worker_that_is_not_forked(shared_folder: Path) -> None:
    images = ImageLoader(open_folder(shared_folder), Transform(32, augment="crop-and-flip"), 1)
    sent = pickle.loads(pickle.dumps(images))
    wanted = (2, np.array([5, 1]))
    one, other = images[wanted], sent[wanted]
    assert isinstance(one, Batch)
    assert_same(one, other)


@pytest.mark.parametrize(
    ("said", "is_loss"),
    [
        ("DataLoader worker (pid 7) is killed by signal: Killed.", True),
        ("DataLoader worker (pid(s) 7) exited unexpectedly", True),
        ("Pin memory thread exited unexpectedly", True),  # with a GPU, and the worker's last batch in the queue
        ("shapes do not match", False),
    ],
)
def test_a_lost_worker_is_recognised_by_its_error(said: str, is_loss: bool) -> None:
    expected = pytest.raises(ResourceError if is_loss else RuntimeError, match="was killed" if is_loss else said)
    with expected, explained_lost_workers("again"):
        raise RuntimeError(said)
