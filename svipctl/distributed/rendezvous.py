"""Find the other processes of a run from the launcher's variables, and wait until all have started."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import count

from torch.distributed import DistNetworkError, DistStoreError, PrefixStore, Store, TCPStore  # type: ignore[attr-defined]

from svipctl.errors import ConfigError, PeerLost

PATIENCE = 300.0
"""Seconds in which all processes must start; Slurm starts them within seconds of each other."""
_SILENCE = 5.0  # seconds before a note says which processes are missing
_LOOK = 0.1  # seconds between two checks
_ARRIVED = "arrived"
_FIRST_PORT = 20000
_PORTS = 12007  # a prime; Linux uses the ports from 32768 on for outgoing connections
_STEPS = 101  # steps of a job before a step has the port of the next job's first
_ALONE = "if this process has no peers, add --standalone"

_meetings = count()
"""Numbers of the meetings of this process; the launcher's store keeps the keys of earlier ones."""

Note = Callable[[str], object]


@dataclass(frozen=True)
class Place:
    """The place of this process among all, from its launcher's variables."""

    rank: int
    world: int
    local: int
    host: str
    """Address on which the first process, or the launcher, listens."""
    port: int
    origin: str
    """The variables that define the place."""


def place_of(environment: Mapping[str, str]) -> Place | None:
    """Read the variables of torchrun, torch's elastic launcher or Slurm's srun; None for a process without a launcher.

    An empty variable counts as unset.

    Raises:
        ConfigError: A variable is missing or has an invalid value.

    """
    found = _Variables(environment)
    if found.text("RANK") and found.number("WORLD_SIZE", 1) > 1:
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
        for name in ("MASTER_ADDR", "MASTER_PORT"):
            if not found.text(name):
                raise found.problem("WORLD_SIZE", f"{name} is not set, so the other processes cannot be found")
        host, port = found.text("MASTER_ADDR"), found.number("MASTER_PORT", 0, most=65535)
    elif found.text("SLURM_PROCID") and found.number("SLURM_STEP_NUM_TASKS", 1) > 1:
        names = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID")
        host = _first_host(found.text("SLURM_STEP_NODELIST") or "localhost")
        job, step = (found.number(name, 0, most=2**32 - 1) for name in ("SLURM_JOB_ID", "SLURM_STEP_ID"))
        port = _FIRST_PORT + (_STEPS * job + step) % _PORTS
    else:
        return None
    rank, world, local = (found.number(name, 0) for name in names)
    if rank >= world:
        raise found.problem(names[0], f"there are only {world} processes")
    return Place(rank, world, local, host, port, " ".join(f"{name}={found.text(name)}" for name in names[:2]))


def without_launcher(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a process without peers."""
    return {name: value for name, value in environment.items() if name not in ("RANK", "SLURM_PROCID")}


def meet(place: Place, note: Note = lambda text: None, patience: float = PATIENCE) -> Store:
    """Wait until all processes of the run have started; a signal interrupts the wait.

    Args:
        place: Place of this process.
        note: Function that receives a note on the missing processes, if the wait is long.
        patience: Seconds to wait.

    Returns:
        The store through which they connect.

    Raises:
        PeerLost: Some processes did not start, or another program uses the address.

    """
    until, silent_until = time.monotonic() + patience, time.monotonic() + _SILENCE
    noted = False

    def wait(what: str) -> None:
        nonlocal noted
        now = time.monotonic()
        if now >= until:
            raise PeerLost(f"gave up waiting for {what} after {patience:.0f} seconds", why=place.origin, todo=_ALONE)
        if now >= silent_until and not noted:
            note(f"waiting for {what}, according to {place.origin}; {_ALONE}")
            noted = True
        time.sleep(_LOOK)

    try:
        store = _connected(place, wait)
        here = store.add(_ARRIVED, 1)
        while here < place.world:
            wait(f"{place.world - here} of {place.world} processes at {place.host}:{place.port}")
            here = store.add(_ARRIVED, 0)
    except (DistNetworkError, DistStoreError, OSError) as error:
        raise PeerLost(
            f"the processes cannot meet at {place.host}:{place.port}",
            why=f"{str(error).partition(chr(10))[0][:200]} ({place.origin})",
            todo=_ALONE,
        ) from error
    return store


def _connected(place: Place, wait: Callable[[str], None]) -> Store:
    """Return the store: the first process serves it, unless torch's launcher does; the others connect to it."""
    is_of_launcher = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    has_it = place.rank == 0 and not is_of_launcher
    while not has_it and not _is_listening(place):
        wait(f"the first of {place.world} processes at {place.host}:{place.port}")
    store = TCPStore(
        place.host, place.port, place.world, has_it, timedelta(seconds=10), wait_for_workers=False, multi_tenant=True
    )
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    return PrefixStore(f"svipctl/{attempt}/{next(_meetings)}", store)


def _is_listening(place: Place) -> bool:
    """Return True if the address accepts connections. torch's own check would ignore signals while it waits."""
    try:
        with socket.create_connection((place.host, place.port), timeout=1):
            return True
    except OSError:
        return False


@dataclass(frozen=True)
class _Variables:
    """Environment variables, with the errors of invalid values."""

    environment: Mapping[str, str]

    def text(self, name: str) -> str:
        return self.environment.get(name, "").strip()

    def number(self, name: str, default: int, *, most: int = 10**9) -> int:
        text = self.text(name) or str(default)
        if not re.fullmatch("[0-9]{1,10}", text) or int(text) > most:
            raise self.problem(name, f"it must be a whole number from 0 to {most}")
        return int(text)

    def problem(self, name: str, why: str) -> ConfigError:
        value = self.environment.get(name, "")
        return ConfigError(
            f"the environment variable {name}={value} cannot be used", why=why, todo=f"unset it; {_ALONE}"
        )


def _first_host(nodes: str) -> str:
    """Return the first host of a list: gpu03 of gpu[03-05,9],other."""
    found = re.match(r"([^,\[]+)(?:\[([^],-]+)[^]]*\]([^,]*))?", nodes)
    return "".join(part or "" for part in found.groups()) if found else nodes
