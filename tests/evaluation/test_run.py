"""Evaluating a run folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from svipctl.datasets.benchmark import Benchmark
from svipctl.errors import DataError
from svipctl.evaluation.run import (
    check_same_benchmark,
    check_untouched,
    check_zero_shot,
    evaluate_run,
    warnings_of_choice,
)
from svipctl.model.checkpoint import Metadata, save_checkpoint, sha256_of
from svipctl.model.recipe import Recipe
from svipctl.runs.run import Run
from svipctl.settings.schema import DataSettings, EvalSettings, Settings, TrainSettings
from tests.evaluation.cases import benchmark
from tests.model.test_checkpoint import metadata
from tests.model.tiny import svip

SETTINGS = Settings(
    dataset="toy", gpu="cpu", precision="fp32", eval=EvalSettings(bootstrap=5), data=DataSettings(workers=0)
)


@pytest.fixture
def data(tmp_path: Path) -> Benchmark:
    return benchmark(tmp_path)


@pytest.fixture
def described(data: Benchmark) -> Metadata:
    model = svip(Recipe(keep=2))
    return replace(metadata(model), classes=data.classes, attributes=data.attributes)


@pytest.fixture
def run(tmp_path: Path, described: Metadata, data: Benchmark) -> Run:
    made = Run(tmp_path / "run")
    made.start(SETTINGS, {}, [data.images[index] for index in data.trainval])
    save_checkpoint(made.best, svip(Recipe(keep=2)), described)
    return made


def test_document_is_returned_and_kept_beside_the_checkpoint(run: Run, data: Benchmark) -> None:
    document, evaluation = evaluate_run(run, data, SETTINGS)
    assert json.loads((run.folder / "eval" / "metrics.json").read_text()) == document
    assert document["images"] == {"seen": 2, "unseen": 6}
    assert set(document["protocols"]) == {"zsl", "gzsl", "gzsl-oracle", "reference", "ausuc"}
    assert document["protocols"]["zsl"]["T1"] == 100 * evaluation.rows["zsl"]["T1"]
    assert document["selection"]


def test_run_trained_on_test_images_is_refused_without_a_result(run: Run, data: Benchmark) -> None:
    (run.folder / "training_images.txt").write_text("8.png\n0.png\n")
    with pytest.raises(DataError, match="trained on 1 of the 8 images"):
        evaluate_run(run, data, SETTINGS)
    assert not (run.folder / "eval").exists()
    check_untouched(run, ["9.png"])


def test_an_epoch_that_was_chosen_on_test_is_said_to_be_so(described: Metadata, data: Benchmark, run: Run) -> None:
    """Of the published recipe trained without development runs, every row is that of the epoch best on test."""
    watched = replace(described, metrics={"monitor": "test"})
    assert warnings_of_choice(run, watched) == []  # it keeps its last epoch, whatever it looked at
    chosen = Run(run.folder.with_name("chosen"))
    chosen.start(SETTINGS.model_copy(update={"train": TrainSettings(monitor="test", select="test")}), {}, ["0.png"])
    save_checkpoint(chosen.best, svip(Recipe(keep=2)), watched)
    document, _ = evaluate_run(chosen, data, SETTINGS)
    assert "was chosen on the test images" in " ".join(document["warnings"])


def test_other_classes_or_attributes_are_refused(described: Metadata, data: Benchmark) -> None:
    check_same_benchmark(described, data)
    with pytest.raises(DataError, match="other classes") as caught:
        check_same_benchmark(replace(described, classes=("a",)), data)
    assert caught.value.why == "1 then, 4 now"
    with pytest.raises(DataError, match="other attributes") as caught:
        check_same_benchmark(replace(described, attributes=data.attributes[::-1]), data)
    assert caught.value.why == "their names or order differ"


def test_class_trained_as_seen_is_not_scored_as_unseen(described: Metadata, data: Benchmark) -> None:
    trained = replace(described, seen_classes=[data.classes[label] for label in range(len(data.classes))])
    unseen = [data.classes[label] for label in data.unseen_classes]
    with pytest.raises(DataError, match=f"trained on {len(unseen)} of the {len(unseen)} classes that are unseen now"):
        check_zero_shot(trained, unseen)


def test_changed_class_attributes_are_refused(described: Metadata, data: Benchmark) -> None:
    recorded = replace(described, class_attributes_sha256=sha256_of(data.class_attributes))
    check_same_benchmark(recorded, data)
    with pytest.raises(DataError, match="class attributes of toy have changed"):
        check_same_benchmark(recorded, replace(data, class_attributes=data.class_attributes + 0.5))
