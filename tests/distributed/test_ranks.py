"""Who a process is among those of its run, and what it is given to do."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from svipctl.distributed.ranks import ALONE, Place, Ranks, _buckets, _explained, is_launcher, joined, place_of
from svipctl.errors import PeerLost

TORCHRUN = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "MASTER_ADDR": "a", "MASTER_PORT": "1"}
SLURM = {
    "SLURM_STEP_NUM_TASKS": "8",
    "SLURM_PROCID": "5",
    "SLURM_LOCALID": "1",
    "SLURM_JOB_ID": "123",
    "SLURM_STEP_NODELIST": "gpu[03-05,9],other",
}


def test_torchruns_variables_say_who_this_is() -> None:
    assert place_of(TORCHRUN) == Place(3, 4, 1, "env://")


def test_slurms_variables_say_who_this_is_and_where_the_first_one_listens() -> None:
    assert place_of(SLURM) == Place(5, 8, 1, "tcp://gpu03:20123")


def test_torchrun_within_a_slurm_step_decides() -> None:
    assert place_of(SLURM | TORCHRUN) == Place(3, 4, 1, "env://")


@pytest.mark.parametrize(
    "environment", [{}, {"RANK": "0", "WORLD_SIZE": "1"}, SLURM | {"SLURM_STEP_NUM_TASKS": "1"}, {"SLURM_JOB_ID": "7"}]
)
def test_without_other_processes_a_process_is_alone(environment: dict[str, str]) -> None:
    assert place_of(environment) is None
    with joined(environment) as ranks:
        assert ranks is ALONE


@pytest.mark.parametrize(
    ("nodes", "first"),
    [("one", "one"), ("one,two", "one"), ("n[1,3]", "n1"), ("n[07-12]-ib,x", "n07-ib"), ("a-b-1.c", "a-b-1.c")],
)
def test_the_first_host_of_slurms_list_of_nodes(nodes: str, first: str) -> None:
    place = place_of(SLURM | {"SLURM_STEP_NODELIST": nodes})
    assert place is not None
    assert place.address == f"tcp://{first}:20123"


def test_a_command_for_several_devices_starts_processes_unless_it_is_one_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in (*TORCHRUN, *SLURM):
        monkeypatch.delenv(name, raising=False)
    assert is_launcher("0,1")
    assert not is_launcher("0")
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    assert not is_launcher("0,1")


@given(st.integers(0, 50), st.integers(1, 9))
def test_shares_are_consecutive_together_everything_and_equal_to_within_one(items: int, world: int) -> None:
    shares = [Ranks(rank, world).share(range(items)) for rank in range(world)]
    assert [item for share in shares for item in share] == list(range(items))
    sizes = [len(share) for share in shares]
    assert max(sizes) - min(sizes) <= 1


@given(st.lists(st.tuples(st.integers(0, 2**23), st.booleans()), max_size=8))
def test_buckets_keep_the_order_and_hold_one_kind_of_limited_size(kinds: list[tuple[int, bool]]) -> None:
    tensors = [torch.empty(size, dtype=torch.half if half else torch.float, device="meta") for size, half in kinds]
    buckets = list(_buckets(tensors))
    assert [id(tensor) for bucket in buckets for tensor in bucket] == [id(tensor) for tensor in tensors]
    for bucket in buckets:
        assert len({tensor.dtype for tensor in bucket}) == 1
        assert len(bucket) == 1 or sum(tensor.numel() for tensor in bucket) <= 2**23


def test_a_lost_peer_is_told_and_memory_that_did_not_suffice_is_not_taken_for_one() -> None:
    with pytest.raises(PeerLost), _explained():
        raise RuntimeError("Connection closed by peer")
    with pytest.raises(torch.OutOfMemoryError), _explained():
        raise torch.OutOfMemoryError("CUDA out of memory.")


@pytest.mark.parametrize(
    "said", ["CUDA error: an illegal memory access was encountered", "device-side assert triggered"]
)
def test_a_kernel_that_failed_is_not_taken_for_a_lost_peer(said: str) -> None:
    with pytest.raises(RuntimeError, match=said), _explained():
        raise RuntimeError(said)


def test_alone_nothing_is_changed_or_waited_for() -> None:
    tensor = torch.tensor([1.0, 2.0])
    ALONE.average([tensor])
    assert tensor.tolist() == [1.0, 2.0]
    assert ALONE.sum(tensor).tolist() == [1.0, 2.0]
    assert ALONE.gather("mine") == ["mine"]
    assert ALONE.decided(lambda: "mine") == "mine"
    assert ALONE.most(3, 0) == (3, 0)
