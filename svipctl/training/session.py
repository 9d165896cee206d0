"""One `svipctl train` as each of its processes does it: a run that is new or goes on, from the data to its last epoch."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from svipctl.datasets.benchmark import Benchmark
from svipctl.datasets.feature_file import FeatureFile, read_pretrained_features
from svipctl.datasets.registry import open_benchmark
from svipctl.device import precision_name
from svipctl.distributed.ranks import Ranks
from svipctl.runs.lookup import new_run
from svipctl.runs.run import ORIGINS, Run
from svipctl.settings.schema import Settings
from svipctl.signals import listening
from svipctl.training.development import Development, check_resumed, check_same_split
from svipctl.training.environment import describe_environment
from svipctl.training.resume import Resumable, check_same_images, find_resumable
from svipctl.training.setup import Setup, prepare
from svipctl.training.step_log import Record
from svipctl.training.trackers import Trackers, check_trackers
from svipctl.training.trainer import Reporter, Trainer
from svipctl.types import ProgressCallback


class Listener(Protocol):
    """Receives remarks, warnings and progress."""

    def note(self, text: str) -> None:
        """A remark."""

    def warn(self, text: str) -> None:
        """What may make the result another one than was wished."""

    def progress(self, what: str) -> AbstractContextManager[ProgressCallback]:
        """Of work that takes a while: done, and in all."""


class Reporting(Protocol):
    """Makes the reporter of a loop of so many epochs over so many images."""

    def __call__(self, epochs: int, images: int, *, resumed: bool) -> AbstractContextManager[Reporter]:
        """`resumed`: the loop goes on somewhere in the middle."""


@dataclass(frozen=True)
class Session:
    """What is to be trained, before anything is read or written."""

    run: Run
    settings: Settings
    """As asked for; of a run that goes on, its own where nothing was asked for."""
    origins: Mapping[str, str]
    resumable: Resumable | None
    resume_asked: bool
    development: Development | None
    """What a final run takes from development runs."""

    @property
    def begins_instead(self) -> bool:
        """True if a run was to be resumed, and none is there to be."""
        return self.resume_asked and self.resumable is None

    @property
    def is_done(self) -> bool:
        """True if the run is finished already."""
        return self.resumable is not None and self.run.finished

    @property
    def changed(self) -> tuple[str, ...]:
        """What a run that goes on computes otherwise than when it began; its result is the same to rounding."""
        return self.resumable.changed if self.resumable else ()

    @property
    def position(self) -> str:
        """Where an unfinished run that goes on stands; empty for a new one."""
        return self.resumable.position if self.resumable else ""


def choose(
    asked: Settings,
    origins: Mapping[str, str],
    resume: str | None,
    ranks: Ranks,
    development: Development | None = None,
) -> Session:
    """The unfinished run that `resume` means (`svipctl.training.resume`), else a new one.

    Raises:
        ConfigError: The name is taken, the named run is finished or of another configuration, or a tracker is not installed.
        DataError: There is no run of the name to resume, or it has no checkpoint.

    """
    check_trackers(asked)
    found = None
    if resume is not None:
        found = ranks.decided(lambda: find_resumable(asked, origins, resume, final=development is not None))
    if found is not None:
        return Session(found.run, found.settings, origins, found, True, development)
    run = ranks.decided(lambda: new_run(asked, anew=True))
    return Session(run, asked, origins, None, resume is not None, development)


def carry_out(session: Session, ranks: Ranks, listener: Listener, reporting: Reporting) -> Record:
    """Open the data, build the network, begin the run or go on, and train; the folder is locked meanwhile.

    A session that is done is not for this function.

    Returns:
        The record of the epoch that became `checkpoints/best`.

    Raises:
        SvipError: Whatever stands in the way. A new run without a checkpoint leaves no folder behind.

    """
    settings, run, is_new = session.settings, session.run, session.resumable is None
    with ExitStack() as at_work:
        if not ranks.is_first:
            run = Run(run.folder, read_only=True)
        elif not is_new:
            # Before anything is read that another process may be about to save.
            run = at_work.enter_context(run.written_to(is_new=False))
        file = read_pretrained_features(Path(settings.data.features)) if settings.data.features else None
        benchmark = _opened(settings, ranks, listener, file)
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
            check_same_split(session.development, benchmark)
        _tell(session, setup, listener)
        images = [benchmark.images[index] for index in setup.split.train]
        if is_new:
            _announce_new(session, run, listener)
            if ranks.is_first:
                run = at_work.enter_context(run.written_to(is_new=True))
        else:
            check_same_images(run, images)
            if session.development is not None:
                check_resumed(run, session.development)
            listener.note(f"resuming {run.name} {session.position}")
            for change in session.changed:
                listener.note(f"now {change}")
        if is_new:
            _begin(session, run, setup, images)
        with (
            listening() as stop,
            reporting(settings.train.epochs, len(images), resumed=not is_new) as reporter,
            closing(Trackers(run, settings, listener.warn)) if ranks.is_first else nullcontext() as trackers,
        ):
            trainer = Trainer(settings, setup, run, reporter, resume=not is_new, stop=stop, trackers=trackers)
            return trainer.train()


def _opened(settings: Settings, ranks: Ranks, listener: Listener, file: FeatureFile | None) -> Benchmark:
    with ranks.first(), listener.progress(f"drawing {settings.dataset}") as progress:
        benchmark = open_benchmark(
            settings.dataset,
            settings.data_dir,
            progress,
            allow_partial=settings.data.allow_partial,
            listed=None if file is None else file.images,
        )
    for warning in benchmark.warnings:
        listener.warn(warning)
    return benchmark


def _announce_new(session: Session, run: Run, listener: Listener) -> None:
    """Say how a new run comes to begin, and remove what a killed one of its name has left."""
    if not run.read_only and run.is_abandoned:
        listener.note(f"{run.name} was killed before its first checkpoint: it is begun anew")
        run.discard_without_checkpoint()
    elif session.begins_instead:
        listener.note(f"there is nothing to resume: {run.name} begins")


def _begin(session: Session, run: Run, setup: Setup, images: list[str]) -> None:
    """Write what is known before the first step."""
    development = session.development
    run.start(
        session.settings,
        describe_environment(
            setup.model.device, setup.model.dtype, setup.model.metadata.backbone_weights, setup.ranks.world
        ),
        images,
        development=development.document() if development else None,
        validation_images=development.validation_images(setup.benchmark) if development else (),
        initial_images=setup.initial_images,
    )
    run.save_json(ORIGINS, session.origins)


def _tell(session: Session, setup: Setup, listener: Listener) -> None:
    """What is trained on what, and what the user should know before the first step."""
    settings, development = session.settings, session.development
    for note in setup.notes:
        listener.warn(note)
    listener.note(f"training {setup.benchmark.name} ({_described(settings, setup)}) in {session.run.folder}")
    if settings.optim.warmup_epochs >= settings.train.epochs:
        listener.warn(
            "every epoch is warm-up, so the backbone is not trained: use more --epochs or --set optim.warmup_epochs=0"
        )
    if development is not None:
        listener.note(development.summary)
        for warning in development.warnings(setup.benchmark):
            listener.warn(warning)
    elif setup.monitored is None and settings.train.monitor != "none":
        listener.note("nothing is evaluated between epochs: there is no validation split without --fold")


def _described(settings: Settings, setup: Setup) -> str:
    parameters = sum(parameter.numel() for parameter in setup.model.network.parameters())
    devices = f"{setup.model.device}" if setup.ranks.world == 1 else f"{setup.ranks.world} processes"
    return (
        f"{len(setup.split.train)} images, {parameters / 1e6:.1f} M parameters, recipe {settings.recipe}, "
        f"{precision_name(setup.model.dtype)} on {devices}"
    )
