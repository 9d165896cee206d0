"""Several GPUs of one machine: the same command once for each, through torch's elastic launcher."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from svipctl.device import check_devices
from svipctl.errors import ExitCode
from svipctl.signals import handled

_OF_LAUNCHER = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


def launch(gpu: str, arguments: Sequence[str]) -> int:
    """Run `svipctl ARGUMENTS` once for each device of `--gpu`, and wait.

    A signal is passed on: SIGTERM, SIGHUP and Ctrl-C as they are, SIGUSR1 and SIGUSR2 as SIGTERM; the processes have the launcher's 30
    seconds to save before they are killed.

    Returns:
        The exit code for the whole: of the process that failed of itself, 75 or 130 after a signal.

    Raises:
        ConfigError: One of the devices is not there.

    """
    devices = gpu.split(",")
    check_devices(gpu)
    # They repeat what the processes say, or report a signal as a traceback; each part sets its own level.
    for name in list(logging.root.manager.loggerDict):
        if name.startswith(("torch.distributed.elastic", "torch.distributed.launcher")):
            logging.getLogger(name).setLevel(logging.CRITICAL)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=len(devices),
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        run_id="svipctl",
        max_restarts=0,
        monitor_interval=0.1,
    )
    try:
        with _handlers_as_before(), handled((signal.SIGUSR1, signal.SIGUSR2), _as_sigterm):
            elastic_launch(config, sys.executable)("-m", "svipctl", *arguments)
    except ChildFailedError as error:
        return _exit_code([failure.exitcode for failure in error.failures.values()])
    except SignalException as error:
        return ExitCode.CTRL_C if error.sigval is signal.SIGINT else ExitCode.INTERRUPTED
    return ExitCode.DONE


def _exit_code(codes: Sequence[int]) -> int:
    """The most telling one: a process that loses a peer fails too, with 1, and the launcher ends the rest by signals."""
    own = [code for code in codes if code > ExitCode.CHECK_FAILED and code != ExitCode.INTERRUPTED]
    return next(iter([*own, *(code for code in codes if code > 0)]), int(ExitCode.CHECK_FAILED))


@contextmanager
def _handlers_as_before() -> Iterator[None]:
    """Undo what torch's launcher does to signals: it leaves its handlers behind, and handles SIGHUP in spite of `nohup`."""
    before = {number: signal.getsignal(number) for number in _OF_LAUNCHER}
    ignored = [number for number, handler in before.items() if handler is signal.SIG_IGN]
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ignored)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _as_sigterm(number: int, frame: FrameType | None) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
