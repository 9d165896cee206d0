"""A run is a function of its configuration: the same seed gives the same metrics, whoever decodes the images."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from svipctl.training.loop import train

from svipctl.datasets.folder import open_folder
from svipctl.errors import CheckFailed
from svipctl.inference.checkpoint import load_checkpoint
from svipctl.runs.run import Run
from svipctl.settings.layers import resolve
from svipctl.training.setup import prepare
from svipctl.training.step import FIGURES
from tests.cli.program import ROOT
from tests.conftest import NETWORK, SEEN, TRAINED

CLOCK = {"seconds", "images_per_second", "data_wait", "peak_memory_mib"}


class Listener:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, int, int]] = []
        self.records: list[dict[str, Any]] = []

    def step(self, epoch: int, step: int, steps: int, terms: dict[str, float]) -> None:
        self.steps.append((epoch, step, steps))

    def epoch(self, record: dict[str, Any]) -> None:
        self.records.append(record)


def trained_here(data: Path, folder: Path, *assignments: str) -> tuple[list[dict[str, Any]], Listener]:
    """metrics.jsonl of a run of two epochs without what the clock says, and who listened."""
    base = ["model.backbone=vit_tiny", "model.weights=none", f"{NETWORK}", "gpu=cpu", "train.epochs=2"]
    base += ["train.batch_size=8", "data.workers=0", "optim.warmup_epochs=1", "precision=fp32", "train.monitor=test"]
    settings = resolve(str(data), assignments=[*base, *assignments]).settings
    setup, run, listener = prepare(settings, open_folder(data)), Run(folder), Listener()
    run.make()
    run.start(settings, {}, ["one"])
    train(settings, setup, run, listener)
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in record.items() if key not in CLOCK} for record in records], listener


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


def test_the_reporter_hears_every_epoch_and_the_incomplete_batch_is_left_out(first: Any) -> None:
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
        record = json.loads((tmp_path / "run" / name).read_text().splitlines()[0])
        assert set(record) - {"epoch", "step"} <= documented


def test_an_epochs_record_has_terms_rate_speed_waiting_memory_and_selection(
    shared_folder: Path, tmp_path: Path
) -> None:
    trained_here(shared_folder, tmp_path / "run")
    for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines():
        record = json.loads(line)
        assert {*FIGURES, "lr", "seconds", "images_per_second", "data_wait", "peak_memory_mib"} <= set(record)
        assert record["loss"] == pytest.approx(
            record["cross_entropy"] + record["patch"] + record["consistency"] + record["decorrelation"], rel=1e-5
        )
        assert 0 <= record["data_wait"] <= 100
        assert 0 <= record["patch_recall"] <= 100
        assert 0 <= record["patch_auc"] <= 100
        assert record["peak_memory_mib"] > 1
        assert record["images_per_second"] > 0


def test_the_best_epoch_is_the_one_that_the_rule_prefers(shared_folder: Path, tmp_path: Path) -> None:
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


def test_a_loss_that_is_not_finite_leaves_the_checkpoint_of_the_epoch_before(
    shared_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(CheckFailed, match=r"not finite in epoch 2, step [2-4]") as caught:
        trained_here(shared_folder, tmp_path / "run", "optim.lr=1e30", "optim.clip_norm=1e30", "optim.ramp_epochs=0")
    assert "loss is" in caught.value.why
    assert "the batch: images/seen_" in caught.value.why
    model, metadata = load_checkpoint(tmp_path / "run" / "checkpoints" / "last")
    assert metadata.epoch == 1
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 1
