"""Test that a run of release 0.1.0 still evaluates, resumes, exports, predicts and can be drawn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import NETWORK, Command
from tests.runs.last_release import COMMITTED, copy_runs, recorded

pytestmark = pytest.mark.slow

CLOCK = {"seconds", "images_per_second", "data_wait", "peak_memory_mib"}
CPU = ("--gpu", "cpu", "--precision", "fp32")
# Percentages are counts of images and equal to the digit. Figures of the scores themselves may differ in their last
# bits on another type of processor, which adds in another order.
LAST_BITS = 1e-5


@pytest.fixture
def runs(small_folder: Path, tmp_path: Path) -> Path:
    """Return the old runs of the data set in `small`, both in the test's own folder."""
    assert small_folder == tmp_path / "small"
    return copy_runs(tmp_path / "runs" / "small")


def without_scores(document: Any) -> Any:
    """Return a document of eval without the figures in units of the scores."""
    if isinstance(document, dict):
        return {key: without_scores(value) for key, value in document.items() if key not in ("gamma", "offset")}
    return document


@pytest.mark.parametrize("name", ["final", "whole"])
@pytest.mark.fast
def test_eval_gives_the_recorded_figures(command: Command, runs: Path, name: str) -> None:
    expected = recorded(f"runs/small/{name}/eval/metrics.json")
    (runs / name / "eval" / "metrics.json").unlink()
    done = command("eval", "small", "--run", name, *CPU, "--json")
    assert done.code == 0, done.stderr
    found = done.document
    assert json.loads((runs / name / "eval" / "metrics.json").read_text()) == found
    same = (
        "dataset",
        "run",
        "recipe",
        "epoch",
        "images",
        "protocols",
        "per_image",
        "intervals",
        "classes",
    )
    assert {key: without_scores(found[key]) for key in same} == {key: without_scores(expected[key]) for key in same}
    for row, figures in expected["protocols"].items():
        assert found["protocols"][row] == pytest.approx(figures, rel=0, abs=LAST_BITS)
    assert found["selection"] == pytest.approx(expected["selection"], rel=0, abs=LAST_BITS)
    assert found.get("development") == expected.get("development")


def test_an_unfinished_run_resumes_to_the_weights_of_the_uninterrupted_one(command: Command, runs: Path) -> None:
    done = command("train", "small", "--resume", "stopped", "--gpu", "cpu")
    assert done.code == 0, done.stderr
    for name in ("metrics.jsonl", "steps.jsonl"):  # their clock figures would differ if the old steps ran again
        before = (COMMITTED / "runs" / "small" / "stopped" / name).read_text()
        assert (runs / "stopped" / name).read_text().startswith(before)
    assert (runs / "stopped" / "finished.json").read_bytes() == (runs / "whole" / "finished.json").read_bytes()
    for name in ("last", "best"):
        found, expected = (
            load_file(runs / run / "checkpoints" / name / "model.safetensors") for run in ("stopped", "whole")
        )
        # Bit-identical on the type of processor that wrote `whole`. Others add in another order: with SSE 4 instead of
        # AVX-512 the largest difference is 6e-8.
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    for found_epoch, expected_epoch in zip(epochs(runs / "stopped"), epochs(runs / "whole"), strict=True):
        found_epoch.pop("contextualized_accuracy", None)  # release 0.1 counted the source pass only
        found_epoch.setdefault("accuracy", found_epoch.pop("source_accuracy", None))
        assert found_epoch.pop("monitor") == expected_epoch.pop("monitor")
        assert found_epoch == pytest.approx(expected_epoch, rel=LAST_BITS, abs=LAST_BITS)


def epochs(run: Path) -> list[dict[str, Any]]:
    """Return the records of a run's epochs without clock figures."""
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in record.items() if key not in CLOCK} for record in records]


def test_a_final_run_takes_its_epochs_and_gamma_from_an_old_development_run(
    command: Command, runs: Path, tmp_path: Path
) -> None:
    (tmp_path / "vectors.txt").write_text("bill 1 0 0\nwing 1 1 0\ncolor 0 1 0\nred 0 0 1\ngreen 0 0 2\nblue 0 0 4\n")
    built = command("w2v", "build", "small", "--vectors", "vectors.txt")
    assert built.code == 0, built.stderr
    flags = ("--recipe", "svipctl", "--backbone", "vit_tiny_patch16_224", "--weights", "none", "--batch-size", "4")
    flags += ("--lr", "1e-3", "--seed", "2", "--set", "method.context=words", "--set", "optim.warmup_epochs=0")
    flags += ("--set", NETWORK, "--set", "data.workers=0", "--set", "train.save_every=0")
    done = command("train", "small", *flags, *CPU, "--final", "--from-development", "fold1", "--name", "new")
    assert done.code == 0, done.stderr
    assert json.loads((runs / "new" / "development.json").read_text()) == recorded("runs/small/final/development.json")
    # 18 steps with a learning rate of 1e-3 amplify the last bits in which processors differ.
    assert [epoch["loss"] for epoch in epochs(runs / "new")] == pytest.approx(
        [epoch["loss"] for epoch in epochs(runs / "final")], rel=1e-3
    )


def test_a_new_run_starts_from_the_weights_of_an_old_one(command: Command, runs: Path) -> None:
    network = ("--recipe", "svipctl", "--backbone", "vit_tiny_patch16_224", "--set", NETWORK)
    network += ("--set", "method.context=free")
    done = command("train", "small", *CPU, *network, "--init-from", str(runs / "whole"), "--name", "new", "--dry-run")
    assert done.code == 0, done.stderr


@pytest.mark.parametrize("kind", ["safetensors", "torch"])
def test_an_export_answers_as_the_run_does(command: Command, runs: Path, tmp_path: Path, kind: str) -> None:
    done = command("export", "small", "--run", "final", "--format", kind, "--json")
    assert done.code == 0, done.stderr
    document = done.document
    assert document["passed"]
    assert document["accuracy"]["exported"] == document["accuracy"]["model"]
    assert (tmp_path / document["path"]).stat().st_size == document["bytes"]


def test_predict_gives_the_recorded_answers(command: Command, runs: Path) -> None:
    expected = recorded("predict.json")
    images = [one["image"] for one in expected["images"]]
    done = command("predict", *images, "--run", "runs/small/final", *CPU, "--top", "3", "--json")
    assert done.code == 0, done.stderr
    found = done.document
    assert found["gamma"] == expected["gamma"]
    for one, other in zip(found["images"], expected["images"], strict=True):
        assert (one["image"], one["windows"]) == (other["image"], other["windows"])
        for answer, wanted in zip(one["answers"], other["answers"], strict=True):
            assert (answer["class"], answer["lacking"]) == (wanted["class"], wanted["lacking"])
            assert answer["score"] == pytest.approx(wanted["score"], abs=LAST_BITS)
            for side in ("for", "against"):
                assert answer[side] == pytest.approx(wanted[side], abs=LAST_BITS)


def test_curves_are_drawn_from_the_records_of_training(command: Command, runs: Path) -> None:
    done = command("visualize", "curves", "small", "--run", "fold1", "--training", "-o", "curves.svg", "--json")
    assert done.code == 0, done.stderr
    assert done.document["epochs"] == len(epochs(runs / "fold1")) == 16


def test_a_baseline_is_recognised_as_one(command: Command, runs: Path) -> None:
    done = command("eval", "small", "--run", "ridge", *CPU)
    assert done.code == 2
    assert "ridge is a baseline" in done.stderr
