"""Commands as jobs of a cluster, through submitit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from types import FrameType
from typing import Any, Literal

from svipctl.errors import ConfigError
from svipctl.reproduce.plan import Step
from svipctl.reproduce.state import begin, run_of

Cluster = Literal["slurm", "local"]
_TIMEOUT = 24 * 60


class Command:
    """What a job does: the command if it is still to be done, resumed if it can be; its exit code.

    submitit calls `checkpoint` when the job is preempted or its time is over, and queues what that returns.
    """

    def __init__(self, step: Step, log: Path) -> None:
        self.step = step
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None

    def __call__(self) -> int:
        """Run it on the node."""
        arguments = begin(self.step)
        if arguments is None:
            return 0
        with self.log.open("ab") as output:
            command = [sys.executable, "-m", "svipctl", *arguments]
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        self.process = process

        def hand_on(number: int, frame: FrameType | None) -> None:
            process.send_signal(signal.SIGTERM)

        # submitit keeps SIGTERM away from its jobs; ours saves its state on it. SIGINT is how a local job is cancelled.
        before = {number: signal.signal(number, hand_on) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            return _ended(process)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def checkpoint(self) -> Any:
        """Let the command save its state, and queue the same again."""
        from submitit.helpers import DelayedSubmission

        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            _ended(self.process)
        return DelayedSubmission(Command(self.step, self.log))

    def __getstate__(self) -> dict[str, Any]:
        return {"step": self.step, "log": self.log, "process": None}


def _ended(process: subprocess.Popen[bytes]) -> int:
    """Wait for a process; its exit code, or minus the signal that ended it.

    `Popen.wait` holds a lock while it waits, and submitit calls `checkpoint` in a signal handler, on top of such a wait.
    """
    if process.returncode is None:
        try:
            _, status = os.waitpid(process.pid, 0)
        except ChildProcessError:  # the handler on top of this has waited for it
            return -1 if process.returncode is None else process.returncode
        process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode


class SlurmLauncher:
    """Submits each command as a job and waits for it.

    Jobs of the same run have the same name and Slurm's `singleton` dependency: when this process was killed and a new
    one submits the run again, the new job waits for the old one, and finds it done.
    """

    def __init__(self, jobs: int, folder: Path, parameters: Mapping[str, Any], *, cluster: Cluster = "slurm") -> None:
        """At most `jobs` submitted at once.

        Args:
            jobs: At least 1.
            folder: For submitit's files, on a disk that the nodes share.
            parameters: submitit's, for instance `{"slurm_partition": "gpu", "timeout_min": 240}`.
            cluster: `local` runs the jobs as processes of this machine, for tests.

        Raises:
            ConfigError: submitit is not installed, there is no Slurm here, or a parameter is unknown.

        """
        try:
            import submitit
        except ImportError as error:
            raise ConfigError("submitit is not installed", todo="pip install 'svipctl[slurm]'") from error
        self.jobs = jobs
        self._folder, self._cluster = folder, cluster
        self._parameters = {"timeout_min": _TIMEOUT, **parameters}
        try:
            self._executor = submitit.AutoExecutor(folder, cluster=cluster)
            self._executor.update_parameters(**self._parameters)
        except (RuntimeError, NameError, TypeError, ValueError, AssertionError) as error:
            raise ConfigError(
                "submitit does not take this", why=str(error), todo="correct --slurm KEY=VALUE"
            ) from error
        self._running: set[Any] = set()
        self._guard = threading.Lock()
        self._told = 0

    def run(self, step: Step, log: Path) -> int:
        """Submit the step and wait; its command's exit code, or 1 when the cluster lost the job (its reason in the log)."""
        from submitit.core.utils import FailedJobError, UncompletedJobError

        with self._guard:
            if self._told:
                return -self._told
            job = self._submit(Command(step, log.resolve()))
            self._running.add(job)
        try:
            return int(job.result())
        except (FailedJobError, UncompletedJobError) as error:
            with log.open("a", encoding="utf-8") as output:
                output.write(f"{error}\n")
            return 1
        finally:
            with self._guard:
                self._running.discard(job)

    def stop(self, number: int) -> None:
        """Cancel every job, and submit no more."""
        with self._guard:
            self._told = number
            for job in self._running:
                job.cancel()

    def _submit(self, command: Command) -> Any:
        place = sha256(str(run_of(command.step).folder.resolve()).encode()).hexdigest()[:8]
        self._executor.update_parameters(name=f"{command.step.key.replace(' ', '-')}-{place}")
        if self._cluster == "slurm":
            more = dict(self._parameters.get("slurm_additional_parameters", {}))
            self._executor.update_parameters(slurm_additional_parameters={"dependency": "singleton", **more})
        return self._executor.submit(command)
