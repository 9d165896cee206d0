"""Test how work is divided among the processes of a run."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from svipctl.distributed.ranks import ALONE, Ranks, explained_peer_loss, gradient_buckets, joined, processes_sharing
from svipctl.errors import PeerLost


@given(st.integers(0, 50), st.integers(1, 9))
def test_shares_are_consecutive_complete_and_equal_to_within_one(items: int, world: int) -> None:
    shares = [Ranks(rank, world).share(range(items)) for rank in range(world)]
    assert [item for share in shares for item in share] == list(range(items))
    sizes = [len(share) for share in shares]
    assert max(sizes) - min(sizes) <= 1


@given(st.lists(st.tuples(st.integers(0, 2**23), st.booleans()), max_size=8))
def test_buckets_keep_the_order_and_have_one_type_and_a_limited_size(kinds: list[tuple[int, bool]]) -> None:
    tensors = [torch.empty(size, dtype=torch.half if half else torch.float, device="meta") for size, half in kinds]
    buckets = list(gradient_buckets(tensors))
    assert [id(tensor) for bucket in buckets for tensor in bucket] == [id(tensor) for tensor in tensors]
    for bucket in buckets:
        assert len({tensor.dtype for tensor in bucket}) == 1
        assert len(bucket) == 1 or sum(tensor.numel() for tensor in bucket) <= 2**23


def test_a_lost_peer_is_reported_and_an_out_of_memory_error_is_not_taken_for_one() -> None:
    with pytest.raises(PeerLost), explained_peer_loss():
        raise RuntimeError("Connection closed by peer")
    with pytest.raises(torch.OutOfMemoryError), explained_peer_loss():
        raise torch.OutOfMemoryError("CUDA out of memory.")


@pytest.mark.parametrize(
    "said", ["CUDA error: an illegal memory access was encountered", "device-side assert triggered"]
)
def test_a_failed_kernel_is_not_taken_for_a_lost_peer(said: str) -> None:
    with pytest.raises(RuntimeError, match=said), explained_peer_loss():
        raise RuntimeError(said)


@pytest.mark.parametrize(
    ("homes", "sharing"),
    [
        ([("a", {0, 1})], 1),
        ([("a", {0, 1}), ("a", {0, 1}), ("b", {0, 1})], 2),
        ([("a", {0, 1}), ("a", {2, 3})], 1),  # bound to separate processors
        ([("a", {0, 1}), ("a", {1, 2}), ("a", {2, 3})], 2),
    ],
)
def test_processes_that_share_processors_are_counted(homes: list[tuple[str, set[int]]], sharing: int) -> None:
    all_homes = [(host, frozenset(cpus)) for host, cpus in homes]
    assert processes_sharing(all_homes[0], all_homes) == sharing


def test_a_process_without_a_rank_is_alone() -> None:
    with joined(None) as ranks:
        assert ranks is ALONE


def test_a_single_process_changes_nothing_and_waits_for_nothing() -> None:
    tensor = torch.tensor([1.0, 2.0])
    ALONE.average([tensor])
    assert tensor.tolist() == [1.0, 2.0]
    assert ALONE.sum(tensor).tolist() == [1.0, 2.0]
    assert ALONE.gather("mine") == ["mine"]
    assert ALONE.decided(lambda: "mine") == "mine"
    assert ALONE.most(3, 0) == (3, 0)
