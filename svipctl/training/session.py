"""Run one `svipctl train` in each of its processes: choose a new or resumed run, and train it to its last epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, nullcontext
from dataclasses import dataclass
from typing import Protocol

from svipctl.device import precision_name
from svipctl.distributed.ranks import Ranks
from svipctl.runs.folder import RunFile
from svipctl.runs.lookup import new_run
from svipctl.runs.run import Run
from svipctl.settings.schema import Settings
from svipctl.signals import listening
from svipctl.training.development import Development, check_resumed, check_same_inputs, validation_images
from svipctl.training.environment import describe_environment
from svipctl.training.resume import check_same_images, find_resumable
from svipctl.training.setup import Setup, open_data, prepare
from svipctl.training.state import read_position
from svipctl.training.step_log import Record
from svipctl.training.trackers import Trackers, check_trackers, viewers
from svipctl.training.trainer import Reporter, Trainer
from svipctl.types import ProgressCallback


class Listener(Protocol):
    """Receives notes, warnings and progress."""

    def note(self, text: str) -> None:
        """Receive a note."""

    def warn(self, text: str) -> None:
        """Receive a warning about something that may affect the result."""

    def progress(self, what: str) -> AbstractContextManager[ProgressCallback | None]:
        """Return a context that receives the progress of a long step: items done, and items in total."""


Reporting = Callable[..., AbstractContextManager[Reporter]]
"""Function that creates the reporter of a loop, with the numbers of `epochs` and `images`, and `resumed` if the loop
continues within the run.
"""


@dataclass(frozen=True)
class Session:
    """A training before anything is read or written."""

    run: Run
    settings: Settings
    """Requested settings; for a resumed run, its own where nothing was requested."""
    origins: Mapping[str, str]
    development: Development | None
    """Values that a final run takes from development runs."""
    is_new: bool
    starts_new: bool = False
    """True if a run should be resumed, but there is none."""
    changed: Sequence[str] = ()
    """Settings of a resumed run that differ from those at its start; its result is the same to rounding."""

    @property
    def is_done(self) -> bool:
        """True if the run is already finished."""
        return not self.is_new and self.run.finished

    @property
    def position(self) -> str:
        """Position of a resumed run, counted from 1; empty for a new one."""
        if self.is_new:
            return ""
        epoch, step = read_position(self.run.last)
        return f"at epoch {epoch + 1}, step {step + 1}"


def choose(
    requested: Settings,
    origins: Mapping[str, str],
    resume: str | None,
    ranks: Ranks,
    development: Development | None = None,
) -> Session:
    """Return the session of the unfinished run that `resume` selects (`svipctl.training.resume`), else of a new run.

    Raises:
        ConfigError: The name is taken, the run is finished or has another configuration, or a tracker is not installed.
        DataError: The run to resume does not exist, or has no checkpoint.

    """
    check_trackers(requested)
    found = None
    if resume is not None:
        found = ranks.decided(lambda: find_resumable(requested, origins, resume, final=development is not None))
    if found is not None:
        run, settings, changed = found
        return Session(run, settings, origins, development, is_new=False, changed=changed)
    run = ranks.decided(lambda: new_run(requested, replace_abandoned=True))
    return Session(run, requested, origins, development, is_new=True, starts_new=resume is not None)


def run_session(session: Session, ranks: Ranks, listener: Listener, reporting: Reporting) -> Record:
    """Open the data, build the network, start or resume the run, and train; the folder is locked while it runs.

    Do not call it for a session that is done.

    Returns:
        The record of the epoch that became `checkpoints/best`.

    Raises:
        SvipError: The training cannot start or continue. A new run without a checkpoint leaves no folder behind.

    """
    settings, run, is_new = session.settings, session.run, session.is_new
    with ExitStack() as at_work:
        if not ranks.is_first:
            run = Run(run.folder, read_only=True)
        elif not is_new:
            # Before reading anything that another process may be about to save.
            run = at_work.enter_context(run.written_to(is_new=False))
        with ranks.first(), listener.progress(f"generating the classes of {settings.dataset}") as progress:
            benchmark, file = open_data(settings, progress)
        for warning in benchmark.warnings:
            listener.warn(warning)
        with ranks.first(), listener.progress("computing the stem's features") as progress:
            setup = prepare(
                settings,
                benchmark,
                resume_from=None if is_new else run.last,
                progress=progress,
                ranks=ranks,
                file=file,
            )
        if session.development is not None:
            check_same_inputs(session.development, benchmark, setup.model.metadata)
        _report_start(session, setup, listener)
        images = benchmark.files(setup.split.train)
        if is_new:
            _announce_new(session, run, listener)
            if ranks.is_first:
                run = at_work.enter_context(run.written_to(is_new=True))
            _begin(session, run, setup, images)
        else:
            check_same_images(run, benchmark, settings.train.fold)
            if session.development is not None:
                check_resumed(run, session.development)
            listener.note(f"resuming {run.name} {session.position}")
            for change in session.changed:
                listener.note(f"now {change}")
        with (
            listening() as stop,
            reporting(settings.train.epochs, len(images), resumed=not is_new) as reporter,
            closing(Trackers(run, settings, listener.warn)) if ranks.is_first else nullcontext() as trackers,
        ):
            trainer = Trainer(settings, setup, run, reporter, resume=not is_new, stop=stop, trackers=trackers)
            return trainer.train()


def _announce_new(session: Session, run: Run, listener: Listener) -> None:
    """Report how a new run starts, and remove the remains of a killed run of its name."""
    if not run.read_only and run.is_abandoned:
        listener.note(f"{run.name} was killed before its first checkpoint: it starts again")
        run.discard_without_checkpoint()
    elif session.starts_new:
        listener.note(f"nothing to resume, starting {run.name}")


def _begin(session: Session, run: Run, setup: Setup, images: list[str]) -> None:
    """Write everything that is known before the first step."""
    development, fold = session.development, session.settings.train.fold
    folds = [one.fold for one in development.found] if development else [] if fold is None else [fold]
    run.start(
        session.settings,
        describe_environment(
            setup.model.device, setup.model.dtype, setup.model.metadata.backbone_weights, setup.ranks.world
        ),
        images,
        development=development.document() if development else None,
        validation_images=validation_images(setup.benchmark, folds) if folds else (),
        initial_images=setup.initial_images,
    )
    run.save_json(RunFile.ORIGINS, session.origins)


def _report_start(session: Session, setup: Setup, listener: Listener) -> None:
    """Report what is trained on which data, and what the user should know before the first step."""
    settings, development = session.settings, session.development
    for note in setup.notes:
        listener.warn(note)
    listener.note(f"training {setup.benchmark.name} ({_described(settings, setup)}) in {session.run.folder}")
    for tracker, command in viewers(session.run, settings).items():
        listener.note(f"{tracker}: {command}")
    if settings.optim.warmup_epochs >= settings.train.epochs:
        listener.warn(
            "every epoch is warm-up, so the backbone is not trained: use more --epochs or --set optim.warmup_epochs=0"
        )
    if development is not None:
        listener.note(development.summary)
        for warning in development.warnings(setup.benchmark):
            listener.warn(warning)
    elif setup.monitored is None and settings.train.monitor != "none":
        listener.note("no evaluation between epochs: without --fold there are no validation images")


def _described(settings: Settings, setup: Setup) -> str:
    parameters = sum(parameter.numel() for parameter in setup.model.network.parameters())
    devices = f"{setup.model.device}" if setup.ranks.world == 1 else f"{setup.ranks.world} processes"
    return (
        f"{len(setup.split.train)} images, {parameters / 1e6:.1f} M parameters, recipe {settings.recipe}, "
        f"{precision_name(setup.model.dtype)} on {devices}"
    )
