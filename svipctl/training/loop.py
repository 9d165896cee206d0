"""Training a run from its configuration to its last checkpoint."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from typing import Protocol

import torch
from torch import Tensor

from svipctl import __version__
from svipctl.datasets.benchmark import Indices
from svipctl.datasets.loader import epoch_order
from svipctl.datasets.workers import explained_lost_workers
from svipctl.device import autocast, peak_memory
from svipctl.distributed.shard import Shard
from svipctl.model.checkpoint import Metadata, save_checkpoint, sha256_of
from svipctl.model.classification import normalise_class_attributes
from svipctl.model.losses import Terms, training_loss
from svipctl.runs.run import Run
from svipctl.settings.schema import Settings
from svipctl.signals import Stop
from svipctl.training.batches import Clocked, steps_of, training_batches
from svipctl.training.board import Board
from svipctl.training.monitor import monitor
from svipctl.training.optimisation import Optimisation
from svipctl.training.setup import Setup
from svipctl.training.state import Progress, load_state, save_state
from svipctl.training.step import Stepper
from svipctl.training.step_log import Record, StepLog

_READ_EVERY = 50  # steps between two looks at the loss: a look makes the device wait
_LOOK_EVERY = 5.0  # seconds, where a step takes so long that the wait does not matter


class Reporter(Protocol):
    """What the loop tells whoever watches."""

    def step(self, epoch: int, step: int, steps: int, terms: dict[str, float]) -> None:
        """Some steps of an epoch are done; all counted from 1. `terms` are means
        since the epoch began, shares in percent.
        """

    def epoch(self, record: Record) -> None:
        """An epoch is done and saved; `record` is its line of metrics.jsonl."""


@explained_lost_workers("run the same command with --resume")
def train(
    settings: Settings,
    setup: Setup,
    run: Run,
    reporter: Reporter,
    *,
    resume: bool = False,
    stop: Stop | None = None,
    board: Board | None = None,
) -> Record:
    """Train, evaluating and saving after each epoch, and saving within an epoch every `train.save_every` minutes.

    Args:
        settings: The configuration.
        setup: Benchmark, model, device and processes, from `svipctl.training.setup`.
        run: A started run folder; filled with metrics and checkpoints. Only the first of several processes writes.
        reporter: Told of every step and epoch.
        resume: Go on where `checkpoints/last` stands; `setup` has its weights.
        stop: Looked at after each step and each evaluated batch; when it asks, the state is saved first.
        board: Takes the same records as the run.

    Returns:
        The record of the epoch that became `checkpoints/best`.

    Raises:
        CheckFailed: The loss or its gradient is not finite; the checkpoint before is intact.
        ResourceError: The disk is full, a batch does not fit into memory, or a process that decodes images was killed;
            the checkpoint before is intact.
        Interrupted: `stop` asked for it; the state is saved.

    """
    model, split, device = setup.model, setup.split, setup.device
    groups = [torch.tensor(group, device=device) for group in setup.benchmark.groups]
    table = torch.from_numpy(setup.benchmark.class_attributes[split.seen_classes])
    class_attributes = normalise_class_attributes(table, settings.method.class_norm_epsilon).float().to(device)
    batch_size, ranks = min(settings.train.batch_size, len(split.train)), setup.ranks
    steps = steps_of(len(split.train), batch_size, drop_last=settings.train.drop_last)
    optimisation = Optimisation(model, settings.optim, epochs=settings.train.epochs, steps_per_epoch=steps)
    stop = Stop() if stop is None else stop  # one that asks for nothing is false
    at = load_state(run.last, optimisation) if resume else Progress()
    run.keep_metrics(at.epoch, at.record)
    run.keep_steps(at.epoch + 1, at.step)
    board = Board() if board is None else board
    board.begin(steps)
    saved = looked = time.monotonic()

    def loss_of(images: Tensor, labels: Tensor, epoch: int, coverage: Tensor | None) -> Terms:
        inputs = setup.normalise(images) if setup.features is None else images
        with autocast(setup.dtype, device):
            output = model.training_pass(
                inputs, frozen_backbone=optimisation.backbone_is_frozen(epoch), coverage=coverage
            )
        return training_loss(output, labels, class_attributes, groups, settings.method)

    parts = settings.train.accumulate
    step_with = Stepper(
        loss_of, optimisation, parts=1 if parts == "auto" else parts, adapt=parts == "auto", ranks=ranks
    )

    def save() -> None:
        nonlocal saved
        if ranks.is_first:
            metadata = _metadata(settings, setup, {"epoch": at.epoch})
            save_checkpoint(run.last, model, metadata, extra=lambda folder: save_state(folder, at, optimisation))
        ranks.wait()  # one that ends before it is saved would take the others along
        saved = time.monotonic()

    def leave_if_asked() -> None:
        place = f"after step {at.step} of epoch {at.epoch + 1}" if at.step else f"after epoch {at.epoch}"
        stop.raise_if_asked("run the same command with --resume", why=f"{run.name} is saved {place}")

    def save_and_leave_if_asked() -> None:
        if stop.hear(*ranks.most(stop.number)):
            save()
            leave_if_asked()

    # The published code chooses by its own test protocol; a validation split is judged by per-class H.
    decisive = "H_reference" if settings.train.select == "test" else "H_oracle"

    for epoch in range(at.epoch, settings.train.epochs):
        started = time.perf_counter() - at.seconds
        if at.step == 0:
            optimisation.start_epoch(epoch)
        model.train()
        order = epoch_order(split.train, seed=settings.seed, epoch=epoch, shuffle=settings.train.shuffle)
        shard = Shard(order, batch_size, ranks)
        log = _log(setup, (run, board), optimisation, epoch, at.sums, order, batch_size)
        rest = shard.indices(at.step, steps)
        with closing(training_batches(settings, setup, epoch, shard.size, rest)) as rest_of_epoch:
            clocked = Clocked(rest_of_epoch, at.waited)
            for step, (images, labels, coverage) in enumerate(clocked, at.step):
                log.add(step, step_with(images, labels, epoch, step, coverage, weight=shard.weight(step)))
                at.step = step + 1
                is_due = time.monotonic() - saved >= 60 * settings.train.save_every and at.step < steps
                is_long = time.monotonic() - looked >= _LOOK_EVERY
                number, due, long = ranks.most(stop.number, is_due, is_long)
                asked = stop.hear(number)  # looked at once, so that whatever is saved has been read
                if asked or due or long or at.step % _READ_EVERY == 0 or at.step == steps:
                    log.read()
                    looked = time.monotonic()
                    reporter.step(epoch + 1, at.step, steps, log.means(at.step))
                at.sums, at.seconds, at.waited = log.sums, time.perf_counter() - started, clocked.waited
                if asked or due:
                    save()
                if asked:
                    leave_if_asked()

        record: Record = {"epoch": epoch + 1, "lr": optimisation.learning_rate(epoch, steps - 1)}
        record |= log.means(steps)
        record |= _speed(at, min(steps * batch_size, len(split.train)))
        record |= {"parts": step_with.parts, "peak_memory_mib": round(peak_memory(device), 1)}
        record |= monitor(settings, setup, save_and_leave_if_asked)
        record |= {"seconds": round(time.perf_counter() - started, 2)}
        if settings.train.select == "last":
            is_best = epoch + 1 == settings.train.epochs
        else:
            is_best = not at.best or record[decisive] > at.best[decisive]
        # Best before state: what is cut off before the state is saved is done again, with the same outcome.
        if is_best:
            at.best = record
            if ranks.is_first:
                save_checkpoint(run.best, model, _metadata(settings, setup, record))
        at = Progress(epoch=epoch + 1, best=at.best, record=record)
        save()
        run.add_metrics(record)
        board.epoch(record)
        reporter.epoch(record)
        if stop.hear(*ranks.most(stop.number)):
            leave_if_asked()

    best = at.best
    run.finish({"epochs": settings.train.epochs, "best_epoch": best["epoch"], "selected_by": settings.train.select})
    return best


def _log(
    setup: Setup,
    to: tuple[Run, Board],
    optimisation: Optimisation,
    epoch: int,
    sums: list[float],
    order: Indices,
    batch_size: int,
) -> StepLog:
    """Of an epoch, writing to the run's steps.jsonl and to its board."""
    run, board = to

    def write(records: Sequence[Record]) -> None:
        run.add_steps(records)
        board.steps(records)

    return StepLog(
        epoch,
        sums,
        learning_rate=lambda step: optimisation.learning_rate(epoch, step),
        images=lambda step: [setup.benchmark.images[index] for index in order[step * batch_size :][:batch_size]],
        write=write,
        ranks=setup.ranks,
    )


def _speed(at: Progress, images: int) -> Record:
    """Images per second, and the percentage of the time in which the loop waited for its next batch."""
    return {"images_per_second": round(images / at.seconds, 1), "data_wait": round(100 * at.waited / at.seconds, 2)}


def _metadata(settings: Settings, setup: Setup, record: Record) -> Metadata:
    benchmark = setup.benchmark
    return Metadata(
        version=__version__,
        dataset=benchmark.name,
        recipe=settings.recipe,
        epoch=record["epoch"],
        backbone=settings.model.backbone,
        backbone_args=settings.model.backbone_args,
        backbone_weights=setup.weights,
        window=settings.model.window,
        classifier_hidden=settings.model.classifier_hidden,
        method=settings.method.model_dump(mode="json"),
        attributes=benchmark.attributes,
        classes=benchmark.classes,
        class_attributes_sha256=sha256_of(benchmark.class_attributes),
        seen_classes=[benchmark.classes[label] for label in setup.split.seen_classes],
        mean=list(setup.normalise.mean),
        std=list(setup.normalise.std),
        image_size=setup.transform.size,
        metrics=record,
    )
