"""Launch the same command once per GPU of this machine, through torch's elastic launcher."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from svipctl.device import check_devices
from svipctl.errors import ExitCode, Interrupted, InterruptedByHand
from svipctl.signals import handled

ENDED = "_SVIPCTL_ENDED"
"""Environment variable of the processes: the file that the first one writes when it has reported how it ended."""
_OF_LAUNCHER = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


def launch(gpu: str, arguments: Sequence[str]) -> int:
    """Run `svipctl ARGUMENTS` once for each device of `--gpu`, and wait.

    Signals are forwarded: SIGTERM, SIGHUP and Ctrl-C unchanged, SIGUSR1 and SIGUSR2 as SIGTERM; the processes have
    the launcher's 30 seconds to save before they are killed.

    Returns:
        The exit code of the whole: of the process that failed first, or 75 or 130 after a signal.

    Raises:
        ConfigError: One of the devices does not exist.
        Interrupted: A signal came before the processes could report it.

    """
    devices = gpu.split(",")
    check_devices(gpu)
    # The launcher repeats the output of the processes, and reports signals as tracebacks; each part sets its own level.
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
    with TemporaryDirectory(prefix="svipctl-") as folder:
        ended = Path(folder, "ended")
        os.environ[ENDED] = str(ended)
        try:
            with _handlers_as_before(), handled((signal.SIGUSR1, signal.SIGUSR2), _as_sigterm):
                elastic_launch(config, sys.executable)("-m", "svipctl", *arguments)
        except ChildFailedError as error:
            return common_exit_code([failure.exitcode for failure in error.failures.values()])
        except SignalException as error:
            by_hand = error.sigval is signal.SIGINT
            if ended.exists():
                return ExitCode.CTRL_C if by_hand else ExitCode.INTERRUPTED
            what = "stopped by Ctrl-C" if by_hand else f"stopped by {signal.Signals(error.sigval).name}"
            raise (InterruptedByHand if by_hand else Interrupted)(what, todo="run the same command again") from error
        finally:
            del os.environ[ENDED]
    return ExitCode.DONE


def common_exit_code(codes: Sequence[int]) -> int:
    """Return the most informative exit code: processes that lose a peer exit with 1, and the launcher ends the rest
    by signals.
    """
    own = [code for code in codes if code > ExitCode.CHECK_FAILED and code != ExitCode.INTERRUPTED]
    return next(iter([*own, *(code for code in codes if code > 0)]), int(ExitCode.CHECK_FAILED))


@contextmanager
def _handlers_as_before() -> Iterator[None]:
    """Restore the signal handlers that torch's launcher changes: it leaves its own behind, and handles SIGHUP despite
    `nohup`.
    """
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
