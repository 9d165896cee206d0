"""Test the rank of a process in its run, and its wait for the others."""

from __future__ import annotations

import os
import signal
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svipctl.distributed.rendezvous import Place, meet, place_of, without_launcher
from svipctl.errors import ConfigError, PeerLost
from svipctl.signals import Signalled, handled

TORCHRUN = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "MASTER_ADDR": "a", "MASTER_PORT": "1"}
SLURM = {
    "SLURM_STEP_NUM_TASKS": "8",
    "SLURM_PROCID": "5",
    "SLURM_LOCALID": "1",
    "SLURM_JOB_ID": "123",
    "SLURM_STEP_ID": "2",
    "SLURM_STEP_NODELIST": "gpu[03-05,9],other",
}


def test_the_rank_is_read_from_torchruns_variables() -> None:
    assert place_of(TORCHRUN) == Place(3, 4, 1, "a", 1, "RANK=3 WORLD_SIZE=4")


def test_the_rank_and_the_first_host_are_read_from_slurms_variables() -> None:
    assert place_of(SLURM) == Place(
        5, 8, 1, "gpu03", 20000 + (101 * 123 + 2) % 12007, "SLURM_PROCID=5 SLURM_STEP_NUM_TASKS=8"
    )


@pytest.mark.parametrize(
    ("job", "step", "port"),
    [
        ("0", "0", 20000),
        ("123", "0", 20416),
        ("123", "1", 20417),
        ("124", "0", 20517),
        ("123", "", 20416),
        ("67108863", "0", 27642),
        (
            "4294967295",
            "4294967290",
            26519,
        ),  # the largest numbers that Slurm has, of a federation and of a batch script
    ],
)
def test_the_port_is_computed_from_job_and_step(job: str, step: str, port: int) -> None:
    place = place_of(SLURM | {"SLURM_JOB_ID": job, "SLURM_STEP_ID": step})
    assert place is not None
    assert place.port == port


def test_steps_of_a_job_and_of_the_next_have_distinct_ports_below_those_of_outgoing_connections() -> None:
    places = [
        place_of(SLURM | {"SLURM_JOB_ID": str(job), "SLURM_STEP_ID": str(step)})
        for job in (70001, 70002, 70003)
        for step in range(101)
    ]
    ports = [place.port for place in places if place is not None]
    assert len(set(ports)) == len(places)
    assert min(ports) >= 1024
    assert max(ports) < 32768


def test_torchrun_within_a_slurm_step_has_priority() -> None:
    assert place_of(SLURM | TORCHRUN) == place_of(TORCHRUN)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"RANK": "0", "WORLD_SIZE": "1"},
        SLURM | {"SLURM_STEP_NUM_TASKS": "1"},
        {"SLURM_JOB_ID": "7"},
        dict.fromkeys([*TORCHRUN, *SLURM], ""),
        dict.fromkeys([*TORCHRUN, *SLURM], " "),
        TORCHRUN | {"RANK": ""},
        TORCHRUN | {"WORLD_SIZE": ""},
    ],
)
def test_without_other_processes_a_process_is_alone(environment: dict[str, str]) -> None:
    assert place_of(environment) is None


@pytest.mark.parametrize("launcher", [TORCHRUN, SLURM], ids=["torchrun", "slurm"])
def test_commands_started_by_a_command_are_alone(launcher: dict[str, str]) -> None:
    assert place_of(without_launcher(launcher)) is None


@pytest.mark.parametrize("value", ["two", "-1", "1.5", "0x4", "1_0", "٣", "4(x2)", "9" * 30, "\x1b[31m"])
@pytest.mark.parametrize(
    ("environment", "names"),
    [
        (TORCHRUN, ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_PORT")),
        (SLURM, ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", "SLURM_JOB_ID", "SLURM_STEP_ID")),
    ],
    ids=["torchrun", "slurm"],
)
def test_an_invalid_value_is_named(environment: dict[str, str], names: tuple[str, ...], value: str) -> None:
    for name in names:
        with pytest.raises(ConfigError, match=f"the environment variable {name}=") as told:
            place_of(environment | {name: value})
        assert "--standalone" in told.value.todo


@pytest.mark.parametrize(
    "wrong", [{"RANK": "4"}, {"RANK": "7"}, {"MASTER_ADDR": ""}, {"MASTER_PORT": ""}, {"MASTER_PORT": "65536"}]
)
def test_variables_without_a_rank_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        place_of(TORCHRUN | wrong)


@given(st.dictionaries(st.sampled_from([*TORCHRUN, *SLURM]), st.text(max_size=4) | st.sampled_from(["0", "1", "2"])))
def test_any_variables_give_a_place_or_a_configuration_error(environment: dict[str, str]) -> None:
    try:
        place = place_of(environment)
    except ConfigError:
        return
    assert place is None or 0 <= place.rank < place.world


@pytest.mark.parametrize(
    ("nodes", "first"),
    [("one", "one"), ("one,two", "one"), ("n[1,3]", "n1"), ("n[07-12]-ib,x", "n07-ib"), ("a-b-1.c", "a-b-1.c")],
)
def test_the_first_host_of_slurms_list_of_nodes_is_found(nodes: str, first: str) -> None:
    place = place_of(SLURM | {"SLURM_STEP_NODELIST": nodes})
    assert place is not None
    assert place.host == first


@pytest.fixture
def place() -> Place:
    with socket.create_server(("localhost", 0)) as free:
        port = free.getsockname()[1]
    return Place(0, 2, 0, "localhost", port, "RANK=0 WORLD_SIZE=2")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Replace the clock by one that advances only when the code sleeps."""
    now = [0.0]
    monkeypatch.setattr("svipctl.distributed.rendezvous.time.monotonic", lambda: now[0])
    monkeypatch.setattr("svipctl.distributed.rendezvous.time.sleep", lambda seconds: now.__setitem__(0, now[0] + 1))
    return now


@pytest.mark.parametrize(
    ("rank", "waited_for"), [(0, "1 of 2 processes at localhost:"), (1, "the first of 2 processes at localhost:")]
)
def test_a_process_names_the_peers_it_waits_for_and_gives_up(
    rank: int, waited_for: str, place: Place, clock: list[float]
) -> None:
    remarks: list[str] = []
    place = Place(rank, 2, 0, place.host, place.port, place.origin)
    with pytest.raises(PeerLost, match="gave up waiting for .* after 60 seconds") as told:
        meet(place, remarks.append, patience=60)
    assert "--standalone" in told.value.todo
    assert len(remarks) == 1
    assert remarks[0].startswith(f"waiting for {waited_for}")
    assert "RANK=0 WORLD_SIZE=2" in remarks[0]
    assert clock[0] == pytest.approx(60)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_signal_interrupts_the_wait(rank: int, place: Place, clock: list[float]) -> None:
    def raise_signal(number: int, frame: Any) -> None:
        raise Signalled(number)

    with handled((signal.SIGTERM,), raise_signal), pytest.raises(Signalled):
        meet(
            Place(rank, 2, 0, place.host, place.port, place.origin),
            lambda text: os.kill(os.getpid(), signal.SIGTERM),
            patience=60,
        )


def test_a_port_in_use_by_another_program_is_an_error(place: Place) -> None:
    with socket.create_server(("localhost", place.port)), pytest.raises(PeerLost, match="cannot meet at localhost"):
        meet(place, patience=60)
