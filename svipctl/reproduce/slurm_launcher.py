"""Run commands as jobs of a Slurm cluster, through submitit."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from types import FrameType
from typing import Any

from svipctl.errors import ConfigError
from svipctl.reproduce.launcher import Launcher, start_command
from svipctl.reproduce.step_state import begin, run_of
from svipctl.reproduce.table_plan import TableStep
from svipctl.settings.keys import parse_value

_TIMEOUT = 24 * 60  # minutes


class SubmittedStep:
    """A step as a job: called on the node, it finishes the step and returns the exit code.

    submitit calls `checkpoint` when the job is preempted or its time is over, and queues the returned job.
    """

    def __init__(self, step: TableStep, log: Path) -> None:
        self.step = step
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None

    def __call__(self) -> int:
        """Run the command on the node."""
        arguments = begin(self.step)
        if arguments is None:
            return 0
        process = self.process = start_command(arguments, self.log)

        def forward(number: int, frame: FrameType | None) -> None:
            process.send_signal(signal.SIGTERM)

        # submitit blocks SIGTERM in its jobs; ours saves its state on it. SIGINT is how a local job is cancelled.
        before = {number: signal.signal(number, forward) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            return _wait_for(process)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def checkpoint(self) -> Any:
        """Let the command save its state, and queue the same step again."""
        from submitit.helpers import DelayedSubmission

        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            _wait_for(self.process)
        return DelayedSubmission(SubmittedStep(self.step, self.log))

    def __getstate__(self) -> dict[str, Any]:
        return {"step": self.step, "log": self.log, "process": None}


def _wait_for(process: subprocess.Popen[bytes]) -> int:
    """Wait for a process; return its exit code, or minus the signal that ended it.

    `Popen.wait` holds a lock while it waits, and submitit calls `checkpoint` in a signal handler, on top of such a
    wait.
    """
    if process.returncode is None:
        try:
            _, status = os.waitpid(process.pid, 0)
        except ChildProcessError:  # the handler on top of this frame has waited for it
            return -1 if process.returncode is None else process.returncode
        process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode


def parse_parameters(assignments: Sequence[str]) -> dict[str, Any]:
    """Return the parameters that a list of `KEY=VALUE` names, for instance `timeout_min=240`.

    Raises:
        ConfigError: An assignment has no `=`.

    """
    for assignment in assignments:
        if "=" not in assignment:
            raise ConfigError(f"--slurm {assignment}: write it as key=value")
    return {key: parse_value(value) for key, _, value in (one.partition("=") for one in assignments)}


class SlurmLauncher(Launcher):
    """Launcher that submits one Slurm job per command, through submitit.

    Jobs of the same run have the same name and Slurm's `singleton` dependency: if this process is killed and a new
    one submits the run again, the new job waits for the old one, and finds it done.

    Args:
        jobs: Number of jobs that are submitted at once, at least 1.
        folder: Folder for submitit's files, on a disk that the nodes share.
        parameters: Parameters of submitit, for instance `{"slurm_partition": "gpu", "timeout_min": 240}`. With
            `cluster` set to `local`, jobs are processes of this machine, for tests.

    Raises:
        ConfigError: submitit is not installed, there is no Slurm here, or a parameter is unknown.

    """

    def __init__(self, jobs: int, folder: Path, parameters: Mapping[str, Any]) -> None:
        super().__init__(jobs)
        try:
            import submitit
        except ImportError as error:
            raise ConfigError("submitit is not installed", todo="pip install 'svipctl[slurm]'") from error
        parameters = {"cluster": "slurm", "timeout_min": _TIMEOUT, **parameters}
        cluster = parameters.pop("cluster")
        try:
            if cluster == "slurm":
                more = parameters.get("slurm_additional_parameters", {})
                parameters["slurm_additional_parameters"] = {"dependency": "singleton", **more}
            self._executor = submitit.AutoExecutor(folder, cluster=cluster)
            self._executor.update_parameters(**parameters)
        except (RuntimeError, NameError, TypeError, ValueError, AssertionError) as error:
            raise ConfigError(
                "submitit does not accept these parameters", why=str(error), todo="fix --slurm KEY=VALUE"
            ) from error

    def _start(self, step: TableStep, log: Path) -> SlurmJob:
        folder = sha256(str(run_of(step).folder.resolve()).encode()).hexdigest()[:8]
        self._executor.update_parameters(name=f"{step.key.replace(' ', '-')}-{folder}")
        return SlurmJob(self._executor.submit(SubmittedStep(step, log.resolve())), log)


class SlurmJob:
    """A submitted job."""

    def __init__(self, job: Any, log: Path) -> None:
        self._job = job
        self._log = log

    def wait(self) -> int:
        """Return the command's exit code, or 1 if the cluster lost the job; the reason is then in the log."""
        from submitit.core.utils import FailedJobError, UncompletedJobError

        try:
            return int(self._job.result())
        except (FailedJobError, UncompletedJobError) as error:
            with self._log.open("a", encoding="utf-8") as output:
                output.write(f"{error}\n")
            return 1

    def send_signal(self, number: int) -> None:
        """Cancel the job on any signal."""
        self._job.cancel()
