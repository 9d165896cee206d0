"""Exchange values between the processes of one run, one process per device."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from svipctl.cpu_count import processors
from svipctl.device import is_device_fault
from svipctl.distributed.rendezvous import Note, Place, meet
from svipctl.errors import PeerLost, is_out_of_memory

_BUCKET = 2**23  # numbers reduced together: fewer, larger messages
_PATIENCE = timedelta(hours=2)  # the others wait while the first one draws, downloads or evaluates
_STEP = timedelta(minutes=30)  # the longest wait for the gradients of a process that is in the same step

T = TypeVar("T")
_Home = tuple[str, frozenset[int]]
"""Host of a process and the processors that it may run on."""


@dataclass(frozen=True)
class Ranks:
    """One process among those of its run; without arguments, the only one.

    Every method but the properties is a collective: all processes call it, in the same order.
    """

    rank: int = 0
    """Rank among all processes; the first one writes and prints."""
    world: int = 1
    """Number of processes."""
    local: int = 0
    """Rank among those of this machine."""
    beside: int = 1
    """Processes that share this one's processors, itself included."""
    control: dist.ProcessGroup | None = None
    """gloo process group on the CPU, so that agreeing on values does not wait for a GPU."""

    @property
    def is_first(self) -> bool:
        """True if this process writes and prints."""
        return self.rank == 0

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """Return this process's part of the items: consecutive, with sizes equal to within one. Not a collective."""
        size, more = divmod(len(items), self.world)
        start = self.rank * size + min(self.rank, more)
        return items[start : start + size + (self.rank < more)]

    def most(self, *values: int) -> tuple[int, ...]:
        """Return the largest value over all processes, for each of the values."""
        if self.world == 1:
            return values
        together = torch.tensor(values)
        with explained_peer_loss():
            dist.all_reduce(together, dist.ReduceOp.MAX, self.control)
        return tuple(together.tolist())

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum over all processes, on the CPU."""
        together = values.cpu()
        if self.world > 1:
            with explained_peer_loss():
                dist.all_reduce(together, dist.ReduceOp.SUM, self.control)
        return together

    def gather(self, value: T) -> list[T]:
        """Return the values of all processes, in their order, on each of them."""
        if self.world == 1:
            return [value]
        values: list[T | None] = [None] * self.world
        with explained_peer_loss():
            dist.all_gather_object(values, value, self.control)
        return values  # type: ignore[return-value]  # all are filled in

    def decided(self, decide: Callable[[], T]) -> T:
        """Return the decision of the first process on each of them."""
        if self.world == 1:
            return decide()
        decision: list[T | None] = [decide() if self.is_first else None]
        with explained_peer_loss():
            dist.broadcast_object_list(decision, 0, self.control)
        return decision[0]  # type: ignore[return-value]  # filled in by the first

    def wait(self) -> None:
        """Wait until all processes have called this method."""
        self.most(0)

    @contextmanager
    def first(self) -> Iterator[None]:
        """Let the first process run the block first, so that what it draws, trains or downloads is ready for the
        others.
        """
        if not self.is_first:
            self.wait()
        yield
        if self.is_first:
            self.wait()

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its mean over all processes, in place, on its device.

        DistributedDataParallel is not used: a backward pass that runs out of memory is repeated in more parts, by
        each process on its own, and DDP's reducer cannot be reset to the beginning of a pass.
        """
        if self.world == 1:
            return
        with explained_peer_loss():
            pending = []
            for bucket in gradient_buckets(tensors):
                flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
                pending.append((bucket, flat, dist.all_reduce(flat, async_op=True)))
            for bucket, flat, work in pending:
                work.wait()
                parts = torch.split(flat.div_(self.world), [tensor.numel() for tensor in bucket])
                for tensor, part in zip(bucket, parts):
                    tensor.copy_(part.view_as(tensor))


ALONE = Ranks()


@contextmanager
def joined(place: Place | None, note: Note = lambda text: None) -> Iterator[Ranks]:
    """Join the other processes of the run that a launcher (torch's elastic one, or Slurm) has started, or run alone.

    Args:
        place: Place from `place_of`.
        note: Function that receives a note if the other processes take long to start.

    Raises:
        PeerLost: The other processes cannot be reached.

    """
    if place is None:
        yield ALONE
        return
    store = meet(place, note)
    with explained_peer_loss():
        has_nccl = torch.cuda.is_available() and dist.is_nccl_available()
        backend = "cpu:gloo,cuda:nccl" if has_nccl else "gloo"
        dist.init_process_group(backend, store=store, rank=place.rank, world_size=place.world, timeout=_STEP)
        control: Any = dist.new_group(backend="gloo", timeout=_PATIENCE)  # its annotation allows None
    try:
        ranks = Ranks(place.rank, place.world, place.local, control=control)
        here = socket.gethostname(), processors()
        yield replace(ranks, beside=processes_sharing(here, ranks.gather(here)))
    finally:
        dist.destroy_process_group()


def processes_sharing(here: _Home, homes: Sequence[_Home]) -> int:
    """Return the number of processes that share processors with this one: Slurm may give each its own."""
    return sum(host == here[0] and bool(cpus & here[1]) for host, cpus in homes)


def gradient_buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Yield the tensors in their order, in groups of limited size and one dtype."""
    bucket: list[Tensor] = []
    for tensor in tensors:
        full = sum(other.numel() for other in bucket) + tensor.numel() > _BUCKET
        if bucket and (full or bucket[0].dtype != tensor.dtype):
            yield bucket
            bucket = []
        bucket.append(tensor)
    if bucket:
        yield bucket


@contextmanager
def explained_peer_loss() -> Iterator[None]:
    """Raise PeerLost for torch's RuntimeError that another process is gone."""
    try:
        yield
    except RuntimeError as error:
        if is_out_of_memory(error) or is_device_fault(error):
            raise
        raise PeerLost("another process of this run ended, or cannot be reached", why=str(error)[:200]) from error
