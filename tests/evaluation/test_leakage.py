"""What a score would mean nothing for is refused, or said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from svipctl.datasets.benchmark import Benchmark
from svipctl.errors import DataError
from svipctl.evaluation.evaluate import evaluate_subject
from svipctl.evaluation.leakage import check_untouched, check_zero_shot, warnings_of_choice
from svipctl.inference.checkpoint import Metadata, save_checkpoint
from svipctl.model.recipe import Recipe
from svipctl.runs.run import Run
from svipctl.settings.schema import TrainSettings
from tests.evaluation.cases import SETTINGS
from tests.model.tiny import svip


def test_run_trained_on_test_images_is_refused_without_a_result(run: Run, data: Benchmark) -> None:
    (run.folder / "training_images.txt").write_text("8.png\n0.png\n")
    with pytest.raises(DataError, match="trained on 1 of the 8 images"):
        evaluate_subject(run, data, SETTINGS)
    assert not (run.folder / "eval").exists()
    check_untouched(run, ["9.png"])


def test_an_epoch_that_was_chosen_on_test_is_said_to_be_so(described: Metadata, data: Benchmark, run: Run) -> None:
    """Of the published recipe trained without development runs, every row is that of the epoch best on test."""
    watched = replace(described, metrics={"monitor": "test"})
    assert warnings_of_choice(run, watched) == []  # it keeps its last epoch, whatever it looked at
    chosen = Run(run.folder.with_name("chosen"))
    chosen.make()
    chosen.start(SETTINGS.model_copy(update={"train": TrainSettings(monitor="test", select="test")}), {}, ["0.png"])
    save_checkpoint(chosen.best, svip(Recipe(keep=2)), watched)
    evaluation = evaluate_subject(chosen, data, SETTINGS)
    assert "was chosen on the test images" in " ".join(evaluation.document["warnings"])


def test_class_trained_as_seen_is_not_scored_as_unseen(described: Metadata, data: Benchmark) -> None:
    trained = replace(described, seen_classes=[data.classes[label] for label in range(len(data.classes))])
    unseen = [data.classes[label] for label in data.unseen_classes]
    with pytest.raises(DataError, match=f"trained on {len(unseen)} of the {len(unseen)} classes that are unseen now"):
        check_zero_shot(trained, unseen)
