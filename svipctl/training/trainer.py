"""Train a run from its configuration to its last checkpoint.

The loss is in `svipctl.model.losses`, the optimizer and its schedule in `svipctl.training.optimisation`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from svipctl.datasets.benchmark import Indices
from svipctl.datasets.loader import epoch_order
from svipctl.datasets.workers import explained_lost_workers, worker_count
from svipctl.device import peak_memory
from svipctl.distributed.shard import Shard
from svipctl.evaluation.evaluate import score_split
from svipctl.evaluation.protocols import evaluate_protocols
from svipctl.files import atomic_write_text
from svipctl.inference.checkpoint import save_checkpoint
from svipctl.inference.dataset_predictions import predict_dataset
from svipctl.model.losses import Terms, group_columns, training_loss
from svipctl.model.training_pass import training_pass
from svipctl.runs.run import Run
from svipctl.settings.schema import Settings
from svipctl.signals import Stop
from svipctl.training.batches import TrainingBatches, clocked, steps_of
from svipctl.training.closed_form import fit_closed_form
from svipctl.training.development import VALIDATION_CURVE
from svipctl.training.optimisation import Optimisation
from svipctl.training.setup import Setup
from svipctl.training.state import Position, load_state, save_state
from svipctl.training.step import Stepper
from svipctl.training.step_log import Record, StepLog
from svipctl.training.trackers import Trackers

_READ_EVERY = 50  # steps between two checks of the loss, because a check synchronizes the device
_LOOK_EVERY = 5.0  # seconds; if a step takes this long, the synchronization does not matter


class Reporter(Protocol):
    """Receives the progress of training."""

    def step(self, epoch: int, step: int, steps: int, terms: dict[str, float]) -> None:
        """Receive the state after some steps; all counted from 1.

        `terms` are means since the start of the epoch, shares in percent.
        """

    def epoch(self, record: Record) -> None:
        """Receive the metrics.jsonl record of an epoch that is done."""


class Trainer:
    """Training loop of a run: train and evaluate each epoch, and save the state now and then.

    Attributes:
        position: Finished epochs and steps; saved with every checkpoint.

    """

    def __init__(
        self,
        settings: Settings,
        setup: Setup,
        run: Run,
        reporter: Reporter,
        *,
        resume: bool = False,
        stop: Stop | None = None,
        trackers: Trackers | None = None,
    ) -> None:
        """Build the optimizer, and restore the state of a run to resume.

        Args:
            settings: The configuration.
            setup: Data set, model, device and processes, from `svipctl.training.setup`.
            run: A started run folder, filled with metrics and checkpoints. Only the first of several processes writes.
            reporter: Called after steps and epochs.
            resume: Continue from `checkpoints/last`; `setup` has its weights.
            stop: Checked after each step and each evaluated batch; if it is set, the state is saved first.
            trackers: Trackers that receive the same records as the run; None for none.

        """
        self.settings, self.setup, self.run, self.reporter = settings, setup, run, reporter
        self.stop = Stop() if stop is None else stop  # `stop` is false until a signal is received
        self.trackers = trackers
        self.network, self.device, self.ranks = setup.model.network, setup.model.device, setup.ranks
        self.groups = group_columns(setup.benchmark.groups).to(self.device)
        table = torch.from_numpy(setup.benchmark.class_attributes[setup.split.seen_classes])
        self.class_attributes = self.network.scorer.table(table).float().to(self.device)
        images = len(setup.split.train)
        self.batch_size = min(settings.train.batch_size, images)
        self.steps = steps_of(images, self.batch_size, drop_last=settings.train.drop_last)
        self.optimisation = Optimisation(
            self.network, settings.optim, epochs=settings.train.epochs, steps_per_epoch=self.steps
        )
        parts = settings.train.accumulate
        self.stepper = Stepper(
            self.loss, self.optimisation, parts=1 if parts == "auto" else parts, adapt=parts == "auto", ranks=self.ranks
        )
        self.position = load_state(run.last, self.optimisation) if resume else Position()
        self.validation: dict[str, list[float]] | None = None
        self.has_saved = resume
        self.saved = self.looked = time.monotonic()

    @explained_lost_workers("run the same command with --resume")
    def train(self) -> Record:
        """Train until the last epoch; return the record of the epoch that became `checkpoints/best`.

        Raises:
            CheckFailed: The loss or its gradient is not finite; the checkpoint before is intact.
            ResourceError: The disk is full, a batch does not fit in memory, or a process that decodes images was
                killed; the checkpoint before is intact.
            Interrupted: `stop` was set; the state is saved.

        """
        self.run.keep_metrics(self.position.epoch, self.position.record)
        self.run.keep_steps(self.position.epoch + 1, self.position.step)
        if self.trackers:
            self.trackers.begin(self.steps)
        with closing(self.remaining_batches()) as batches:
            for epoch in range(self.position.epoch, self.settings.train.epochs):
                self.train_epoch(epoch, batches)
        best, select = self.position.best, self.settings.train.select
        self.run.finish({"epochs": self.settings.train.epochs, "best_epoch": best["epoch"], "selected_by": select})
        return best

    def train_epoch(self, epoch: int, batches: TrainingBatches) -> None:
        """Train an epoch from the current step on, evaluate it and record it; `epoch` is counted from 0.

        It is saved if a save is due, and always if it is the first one, the last or the best so far.
        """
        started = time.perf_counter() - self.position.seconds
        if self.position.step == 0:
            self.optimisation.start_epoch(epoch)
        self.network.train()
        means = self.train_steps(epoch, batches, started)
        record: Record = {"epoch": epoch + 1, "lr": self.optimisation.learning_rate(epoch, self.steps - 1)}
        record |= means | self.speed()
        record |= {"parts": self.stepper.parts, "peak_memory_mib": round(peak_memory(self.device), 1)}
        if self.setup.monitored is not None or epoch + 1 == self.settings.train.epochs:
            fit_closed_form(self.settings, self.setup, lambda done, total: self.save_and_leave_if_asked())
        record |= self.validate()
        record |= {"seconds": round(time.perf_counter() - started, 2)}
        # Best before state: work after the last save of the state is repeated, with the same outcome.
        is_best, is_last = self.is_best(record), epoch + 1 == self.settings.train.epochs
        if is_best:
            self.position.best = record
            self.save_model(self.run.best, record)
        self.position = Position(epoch=epoch + 1, best=self.position.best, record=record)
        (due,) = self.ranks.most(self.save_is_due())
        is_saved = bool(is_best or is_last or due or not self.has_saved)
        if is_saved:
            self.save()
        self.run.add_metrics(record)
        if self.trackers:
            self.trackers.epoch(record)
        self.reporter.epoch(record)
        if self.stop_is_asked():
            if not is_saved:
                self.save()
            self.leave()

    def train_steps(self, epoch: int, batches: TrainingBatches, started: float) -> dict[str, float]:
        """Train the remaining steps of an epoch that began at `started`; return the means of the loss terms."""
        at, shard = self.position, self.shard(epoch)
        log = self.step_log(epoch, shard.order)
        taken = clocked(batches.take(epoch, self.steps - at.step), at)
        for step, (images, labels, coverage) in enumerate(taken, at.step):
            log.add(step, self.stepper(images, labels, epoch, step, coverage, weight=shard.weight(step)))
            at.step = step + 1
            is_long = time.monotonic() - self.looked >= _LOOK_EVERY
            save_is_due = self.save_is_due() and at.step < self.steps
            number, due, long = self.ranks.most(self.stop.number, save_is_due, is_long)
            asked = self.stop.record(number)
            if asked or due or long or at.step % _READ_EVERY == 0 or at.step == self.steps:
                log.read()  # before anything is saved, so that a loss that is not finite is never saved
                self.looked = time.monotonic()
                self.reporter.step(epoch + 1, at.step, self.steps, log.means(at.step))
            at.sums, at.seconds = log.sums, time.perf_counter() - started
            if asked or due:
                self.save()
            if asked:
                self.leave()
        return log.means(self.steps)

    def shard(self, epoch: int) -> Shard:
        """Return the order of an epoch's images and this process's share of each batch."""
        train = self.settings.train
        order = epoch_order(self.setup.split.train, seed=self.settings.seed, epoch=epoch, shuffle=train.shuffle)
        return Shard(order, self.batch_size, self.ranks)

    def remaining_batches(self) -> TrainingBatches:
        """Return the batches from the current position to the end of the run."""
        first_epoch, first_step = self.position.epoch, self.position.step

        def order() -> Iterator[tuple[int, Indices]]:
            for epoch in range(first_epoch, self.settings.train.epochs):
                shard = self.shard(epoch)
                for step in range(first_step if epoch == first_epoch else 0, self.steps):
                    yield epoch, shard.indices(step, step + 1)

        workers = worker_count(self.settings.data.workers, self.device, self.ranks.beside) if self.steps > 1 else 0
        return TrainingBatches(self.settings, self.setup, order(), workers=workers)

    def loss(self, images: Tensor, labels: Tensor, epoch: int, coverage: Tensor | None) -> Terms:
        """Return the loss and its terms.

        Args:
            images: uint8 (B, 3, H, W), or a frozen stem's features.
            labels: (B,) rows of the seen classes.
            epoch: Counted from 0.
            coverage: (B, windows) share of each window that shows the object, for the control that needs it.

        """
        inputs = self.setup.model.normalise(images) if self.setup.features is None else images
        frozen = self.optimisation.backbone_is_frozen(epoch)
        dtype = self.setup.model.dtype
        output = training_pass(self.network, inputs, dtype, frozen_backbone=frozen, coverage=coverage)
        return training_loss(output, labels, self.class_attributes, self.groups, self.settings.method)

    def validate(self) -> Record:
        """Return T1, U, S, H, the best H over all gammas, and the `reference` row on the monitored split, in percent.

        Empty if no split is monitored.
        """
        setup, split = self.setup, self.setup.monitored
        if split is None:
            return {}
        predictions = predict_dataset(
            setup.model,
            setup.benchmark,
            split.scored,
            batch_size=self.settings.eval.batch_size,
            workers=self.settings.data.workers,
            ranks=self.ranks,
            progress=lambda done, total: self.save_and_leave_if_asked(),
        )
        scored = score_split(setup.benchmark, split, predictions, self.network.scorer)
        results = evaluate_protocols(scored, resamples=0)
        self.validation, rows = results.curve.document(), results.document()["protocols"]
        gzsl, oracle = rows["gzsl"], rows["gzsl-oracle"]
        figures = {"T1": rows["zsl"]["T1"], "U": gzsl["U"], "S": gzsl["S"], "H": gzsl["H"], "H_oracle": oracle["H"]}
        figures |= {f"{figure}_reference": rows["reference"][figure] for figure in "USH"}
        rounded = {name: round(float(value), 3) for name, value in figures.items()}  # plain floats, for the saved state
        return {"monitor": split.name, "gamma": float(oracle["gamma"])} | rounded

    def is_best(self, record: Record) -> bool:
        """Return True if an epoch becomes `checkpoints/best`."""
        select, best = self.settings.train.select, self.position.best
        if select == "last":
            return bool(record["epoch"] == self.settings.train.epochs)
        # The published code chooses by its own test protocol; a validation split uses per-class H.
        figure = "H_reference" if select == "test" else "H_oracle"
        return not best or record[figure] > best[figure]

    def save(self) -> None:
        """Save weights and state to `checkpoints/last`."""
        self.save_model(self.run.last, {"epoch": self.position.epoch}, with_state=True)
        self.ranks.wait()  # a process that ends before the save would end the others too
        self.has_saved, self.saved = True, time.monotonic()

    def save_is_due(self) -> bool:
        """Return True if the last save, or the start of the program, is at least `train.save_every` minutes ago."""
        return time.monotonic() - self.saved >= 60 * self.settings.train.save_every

    def save_model(self, folder: Path, record: Record, *, with_state: bool = False) -> None:
        """Save the weights, and the training state if requested; only the first process writes."""
        if not self.ranks.is_first:
            return
        self.run.check_folder()
        metadata = replace(self.setup.model.metadata, epoch=record["epoch"], metrics=record, saved_by=self.run.identity)

        def add(unfinished: Path) -> None:
            if with_state:
                save_state(unfinished, self.position, self.optimisation)
            elif self.validation is not None:
                atomic_write_text(unfinished / VALIDATION_CURVE, json.dumps(self.validation))

        save_checkpoint(folder, self.network, metadata, extra=add)

    def stop_is_asked(self) -> bool:
        """Return True if a process of the run has received a signal."""
        return self.stop.record(*self.ranks.most(self.stop.number))

    def leave(self) -> None:
        """Raise Interrupted for the received signal; the state is saved."""
        at = self.position
        place = f"after step {at.step} of epoch {at.epoch + 1}" if at.step else f"after epoch {at.epoch}"
        self.stop.raise_if_asked("run the same command with --resume", why=f"{self.run.name} is saved {place}")

    def save_and_leave_if_asked(self) -> None:
        """Save and raise Interrupted if a signal was received, between two batches of an evaluation."""
        if self.stop_is_asked():
            self.save()
            self.leave()

    def step_log(self, epoch: int, order: Indices) -> StepLog:
        """Return the log of an epoch's steps, which writes to the run's steps.jsonl and to its trackers."""

        def write(records: Sequence[Record]) -> None:
            self.run.add_steps(records)
            if self.trackers:
                self.trackers.steps(records)

        def images(step: int) -> list[str]:
            return [self.setup.benchmark.images[i] for i in order[step * self.batch_size :][: self.batch_size]]

        return StepLog(
            epoch,
            self.position.sums,
            learning_rate=lambda step: self.optimisation.learning_rate(epoch, step),
            images=images,
            write=write,
            ranks=self.ranks,
            published=self.settings.recipe == "reference",
        )

    def speed(self) -> Record:
        """Return images per second, and the percentage of the time in which the loop waited for its next batch."""
        at, images = self.position, min(self.steps * self.batch_size, len(self.setup.split.train))
        return {
            "images_per_second": round(images / at.seconds, 1),
            "data_wait": round(100 * at.waited / at.seconds, 2),
        }
