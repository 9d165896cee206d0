"""Test that a run is a function of its configuration, and that training calls each documented step of the trainer."""

from __future__ import annotations

import json
import re
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from svipctl.datasets.folder import open_folder
from svipctl.errors import CheckFailed, Interrupted
from svipctl.inference.load import load_checkpoint
from svipctl.model.losses import Terms
from svipctl.runs.run import Run
from svipctl.settings.layers import resolve
from svipctl.settings.schema import Settings
from svipctl.training.setup import prepare
from svipctl.training.step import FIGURES
from svipctl.training.trainer import Trainer
from tests.cli.program import ROOT
from tests.conftest import NETWORK, SEEN, TRAINED

CLOCK = {"seconds", "images_per_second", "data_wait", "peak_memory_mib"}


class Listener:
    """Reporter that records everything it receives."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, int, int]] = []
        self.records: list[dict[str, Any]] = []

    def step(self, epoch: int, step: int, steps: int, terms: dict[str, float]) -> None:
        self.steps.append((epoch, step, steps))

    def epoch(self, record: dict[str, Any]) -> None:
        self.records.append(record)


def settings_of(data: Path, *assignments: str) -> Settings:
    """Return the configuration of a run of two epochs that takes a second."""
    base = [
        "recipe=svipctl",
        "model.backbone=vit_tiny",
        "model.weights=none",
        f"{NETWORK}",
        "gpu=cpu",
        "train.epochs=2",
    ]
    base += ["train.batch_size=8", "data.workers=0", "optim.warmup_epochs=1", "precision=fp32", "train.monitor=test"]
    return resolve(str(data), assignments=[*base, *assignments]).settings


def trainer_of(settings: Settings, data: Path, folder: Path, kind: type[Trainer] = Trainer) -> tuple[Trainer, Listener]:
    """Return a trainer of a new run in `folder`, and its reporter."""
    setup, run, listener = prepare(settings, open_folder(data)), Run(folder), Listener()
    run.make()
    run.start(settings, {}, ["one"])
    return kind(settings, setup, run, listener), listener


def trained_here(
    data: Path, folder: Path, *assignments: str, kind: type[Trainer] = Trainer
) -> tuple[list[dict[str, Any]], Listener]:
    """Return the metrics.jsonl of a run, without the figures that depend on the clock, and its reporter."""
    trainer, listener = trainer_of(settings_of(data, *assignments), data, folder, kind)
    trainer.train()
    return [
        {key: value for key, value in one.items() if key not in CLOCK} for one in lines(folder / "metrics.jsonl")
    ], listener


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def first(shared_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, Any]], Listener, Path]:
    folder = tmp_path_factory.mktemp("loop") / "run"
    return (*trained_here(shared_folder, folder), folder)


def test_the_same_seed_gives_the_same_metrics_and_weights(first: Any, shared_folder: Path, tmp_path: Path) -> None:
    again, _ = trained_here(shared_folder, tmp_path / "run")
    assert again == first[0]
    weights = "checkpoints/last/model.safetensors"
    assert (tmp_path / "run" / weights).read_bytes() == (first[2] / weights).read_bytes()


def test_another_seed_gives_other_metrics(first: Any, shared_folder: Path, tmp_path: Path) -> None:
    other, _ = trained_here(shared_folder, tmp_path / "run", "seed=1")
    assert other[0]["loss"] != first[0][0]["loss"]


def test_the_number_of_workers_changes_no_metric(first: Any, shared_folder: Path, tmp_path: Path) -> None:
    other, _ = trained_here(shared_folder, tmp_path / "run", "data.workers=2")
    assert other == first[0]


class Saving(Trainer):
    """Trainer that records at which (epoch, step) it saves, with a save due in the epochs of `due_in`."""

    due_in: frozenset[int] = frozenset()

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.saves: list[tuple[int, int]] = []

    def save_is_due(self) -> bool:
        return self.position.epoch in self.due_in or super().save_is_due()

    def save(self) -> None:
        self.saves.append((self.position.epoch, self.position.step))
        super().save()


class DueInTheThird(Saving):
    due_in = frozenset([3])


@pytest.mark.parametrize(
    ("kind", "assignments", "saves"),
    [
        (Saving, ("train.save_every=60",), [(1, 0), (4, 0)]),
        (DueInTheThird, ("train.save_every=60", "train.batch_size=48"), [(1, 0), (3, 0), (4, 0)]),
        (Saving, ("train.save_every=0", "train.batch_size=48"), [(1, 0), (2, 0), (3, 0), (4, 0)]),
    ],
)
def test_the_first_and_the_last_epoch_are_saved_and_others_at_the_set_interval(
    kind: type[Saving], assignments: tuple[str, ...], saves: list[tuple[int, int]], shared_folder: Path, tmp_path: Path
) -> None:
    settings = settings_of(shared_folder, "train.epochs=4", *assignments)
    trainer, _ = trainer_of(settings, shared_folder, tmp_path / "run", kind)
    trainer.train()
    assert isinstance(trainer, Saving)
    assert trainer.saves == saves


def test_a_new_best_is_saved_with_its_state(shared_folder: Path, tmp_path: Path) -> None:
    settings = settings_of(shared_folder, "train.epochs=4", "train.save_every=60", "train.select=test", "optim.lr=1e-2")
    trainer, listener = trainer_of(settings, shared_folder, tmp_path / "run", Saving)
    trainer.train()
    assert isinstance(trainer, Saving)
    figures = [record["H_reference"] for record in listener.records]
    best = [epoch for epoch in range(1, 5) if epoch == 1 or figures[epoch - 1] > max(figures[: epoch - 1])]
    assert trainer.saves == [(epoch, 0) for epoch in sorted({*best, 4})]


def test_a_signal_after_an_unsaved_epoch_saves_it(shared_folder: Path, tmp_path: Path) -> None:
    settings = settings_of(shared_folder, "train.epochs=4", "train.save_every=60")
    trainer, listener = trainer_of(settings, shared_folder, tmp_path / "run", Saving)

    def stop(record: dict[str, Any]) -> None:
        if record["epoch"] == 2:
            trainer.stop.received = signal.SIGTERM

    listener.epoch = stop  # type: ignore[method-assign]
    with pytest.raises(Interrupted) as told:
        trainer.train()
    assert "saved after epoch 2" in told.value.why
    assert isinstance(trainer, Saving)
    assert trainer.saves == [(1, 0), (2, 0)]


def test_the_reporter_receives_every_epoch_and_the_incomplete_batch_is_dropped(first: Any) -> None:
    records, listener, _ = first
    steps = len(SEEN) * TRAINED // 8
    assert listener.steps == [(1, steps, steps), (2, steps, steps)]
    assert [record["epoch"] for record in listener.records] == [1, 2]
    assert records[0]["lr"] == 5e-5
    assert {"T1", "U", "S", "H", "H_oracle", "gamma"} <= set(records[0])


def test_every_figure_of_a_run_is_documented(shared_folder: Path, tmp_path: Path) -> None:
    trained_here(shared_folder, tmp_path / "run", "train.monitor=test")
    documented = set(re.findall(r"`(\w+)`", (ROOT / "docs" / "metrics.md").read_text()))
    for name in ("metrics.jsonl", "steps.jsonl"):
        record = lines(tmp_path / "run" / name)[0]
        assert set(record) - {"epoch", "step"} <= documented


def test_an_epochs_record_has_terms_rate_speed_waiting_memory_and_selection(
    shared_folder: Path, tmp_path: Path
) -> None:
    trained_here(shared_folder, tmp_path / "run")
    for record in lines(tmp_path / "run" / "metrics.jsonl"):
        assert {*FIGURES, "lr", "seconds", "images_per_second", "data_wait", "peak_memory_mib"} <= set(record)
        assert record["loss"] == pytest.approx(
            record["cross_entropy"] + record["patch"] + record["consistency"] + record["decorrelation"], rel=1e-5
        )
        assert 0 <= record["data_wait"] <= 100
        assert 0 <= record["patch_recall"] <= 100
        assert 0 <= record["patch_auc"] <= 100
        assert record["peak_memory_mib"] > 1
        assert record["images_per_second"] > 0


def test_the_best_epoch_is_the_one_that_the_rule_selects(shared_folder: Path, tmp_path: Path) -> None:
    rules = ["train.select=validation", "train.monitor=validation", "train.fold=1", "train.epochs=4", "optim.lr=0.01"]
    records, _ = trained_here(shared_folder, tmp_path / "run", *rules)
    figures = [record["H_oracle"] for record in records]
    wanted = figures.index(max(figures)) + 1
    best = json.loads((tmp_path / "run" / "checkpoints" / "best" / "metadata.json").read_text())
    assert best["epoch"] == wanted
    assert json.loads((tmp_path / "run" / "finished.json").read_text())["best_epoch"] == wanted
    assert best["metrics"]["monitor"] == "fold-1"


def test_a_loss_that_is_not_finite_ends_the_run(shared_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckFailed, match=r"not finite in epoch \d, step \d"):
        trained_here(shared_folder, tmp_path / "run", "optim.lr=1e30", "optim.warmup_lr=1e30", "optim.clip_norm=1e30")
    assert not (tmp_path / "run" / "finished.json").exists()


def test_a_loss_that_is_not_finite_keeps_the_checkpoint_of_the_previous_epoch(
    shared_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(CheckFailed, match=r"not finite in epoch 2, step [2-4]") as caught:
        trained_here(shared_folder, tmp_path / "run", "optim.lr=1e30", "optim.clip_norm=1e30", "optim.ramp_epochs=0")
    assert "loss is" in caught.value.why
    assert "the batch: images/seen_" in caught.value.why
    model = load_checkpoint(tmp_path / "run" / "checkpoints" / "last")
    assert model.metadata.epoch == 1
    assert all(torch.isfinite(parameter).all() for parameter in model.network.parameters())
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 1


class DoubledLoss(Trainer):
    """Trainer whose loss is twice that of the recipe."""

    def loss(self, images: Tensor, labels: Tensor, epoch: int, coverage: Tensor | None) -> Terms:
        terms = super().loss(images, labels, epoch, coverage)
        return replace(terms, loss=2 * terms.loss)


@pytest.mark.parametrize("parts", [1, 3])
def test_a_subclass_with_another_loss_trains_with_it(shared_folder: Path, tmp_path: Path, parts: int) -> None:
    sets = ["train.epochs=1", "train.monitor=none", f"train.accumulate={parts}"]
    for name, kind in (("plain", Trainer), ("doubled", DoubledLoss)):
        trained_here(shared_folder, tmp_path / name, *sets, kind=kind)
    plain, doubled = (lines(tmp_path / name / "steps.jsonl")[0] for name in ("plain", "doubled"))
    assert doubled["cross_entropy"] == plain["cross_entropy"], "both begin with the same weights and images"
    assert doubled["loss"] == pytest.approx(2 * plain["loss"], rel=1e-5)
    assert doubled["gradient_norm"] == pytest.approx(2 * plain["gradient_norm"], rel=1e-4)


class FirstIsBest(Trainer):
    """Trainer that keeps its first epoch."""

    def is_best(self, record: dict[str, Any]) -> bool:
        return not self.position.best


def test_a_subclass_with_another_rule_decides_which_epoch_is_kept(shared_folder: Path, tmp_path: Path) -> None:
    trained_here(shared_folder, tmp_path / "run", kind=FirstIsBest)
    assert load_checkpoint(tmp_path / "run" / "checkpoints" / "best").metadata.epoch == 1
    assert load_checkpoint(tmp_path / "run" / "checkpoints" / "last").metadata.epoch == 2
    assert json.loads((tmp_path / "run" / "finished.json").read_text())["best_epoch"] == 1


def test_the_rule_last_selects_the_last_epoch_whatever_its_figures(shared_folder: Path, tmp_path: Path) -> None:
    trainer, _ = trainer_of(settings_of(shared_folder, "train.select=last"), shared_folder, tmp_path / "run")
    good, bad = {"H_oracle": 99.0, "H_reference": 99.0}, {"H_oracle": 1.0, "H_reference": 1.0}
    assert not trainer.is_best({"epoch": 1} | good)
    trainer.position.best = {"epoch": 1} | good
    assert trainer.is_best({"epoch": 2} | bad)


@pytest.mark.parametrize(
    ("rule", "decisive", "other"),
    [
        (("train.select=validation", "train.monitor=validation", "train.fold=1"), "H_oracle", "H_reference"),
        (("train.select=test", "train.monitor=test"), "H_reference", "H_oracle"),
    ],
)
def test_the_rules_validation_and_test_select_the_first_highest_figure_of_their_protocol(
    shared_folder: Path, tmp_path: Path, rule: tuple[str, ...], decisive: str, other: str
) -> None:
    trainer, _ = trainer_of(settings_of(shared_folder, *rule), shared_folder, tmp_path / "run")
    assert trainer.is_best({"epoch": 1, decisive: 0.0, other: 0.0}), "the first epoch is the best so far"
    trainer.position.best = {"epoch": 1, decisive: 50.0, other: 50.0}
    assert trainer.is_best({"epoch": 2, decisive: 50.001, other: 0.0})
    assert not trainer.is_best({"epoch": 2, decisive: 50.0, other: 99.0})
    assert not trainer.is_best({"epoch": 2, decisive: 49.0, other: 99.0})


def test_validation_measures_the_monitored_split_and_restores_training_mode(
    shared_folder: Path, tmp_path: Path
) -> None:
    trainer, _ = trainer_of(settings_of(shared_folder), shared_folder, tmp_path / "monitored")
    trainer.network.train()
    found = trainer.validate()
    assert found["monitor"] == "test"
    assert {"T1", "U", "S", "H", "H_oracle", "H_reference", "gamma"} <= set(found)
    assert trainer.network.training
    trainer, _ = trainer_of(settings_of(shared_folder, "train.monitor=none"), shared_folder, tmp_path / "unmonitored")
    assert trainer.validate() == {}
