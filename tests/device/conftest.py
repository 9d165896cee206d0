"""Fixture of the simulated device, in a separate process."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import pytest

from tests.device import simulated


@pytest.fixture(scope="session")
def device_process() -> Iterator[ProcessPoolExecutor]:
    """Return a process with the device installed, for functions of `tests.device.steps`."""
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(1, mp_context=context, initializer=simulated.install) as executor:
        yield executor
