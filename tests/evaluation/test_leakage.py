"""Test that an evaluation with leakage is refused or has a warning."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from svipctl.datasets.benchmark import Benchmark
from svipctl.errors import DataError
from svipctl.evaluation.evaluate import evaluate_subject
from svipctl.evaluation.leakage import UNKNOWN, check_untouched, check_zero_shot, warnings_of_choice
from svipctl.inference.checkpoint import Metadata, save_checkpoint
from svipctl.model.recipe import Recipe
from svipctl.runs.run import Run
from svipctl.settings.schema import TrainSettings
from tests.evaluation.cases import SETTINGS
from tests.model.tiny import svip
from tests.runs.made import rewrite


def test_run_trained_on_test_images_is_refused_without_a_result(run: Run, data: Benchmark) -> None:
    rewrite(run.folder / "training_images.txt", "8.png\n0.png\n")
    with pytest.raises(DataError, match="trained on 1 of the 8 images"):
        evaluate_subject(run, data, SETTINGS)
    assert not (run.folder / "eval").exists()
    check_untouched(run, ["9.png"])


def test_an_epoch_chosen_on_test_gives_a_warning(described: Metadata, data: Benchmark, run: Run) -> None:
    """In the published recipe trained without development runs, every row is that of the epoch best on test."""
    watched = replace(described, metrics={"monitor": "test"})
    assert warnings_of_choice(run, watched) == []  # it keeps its last epoch, whatever it monitored
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


def started(run: Run, described: Metadata, name: str, **more: Any) -> Run:
    """Return another run of the same network, started with more than training images."""
    made = Run(run.folder.with_name(name))
    made.make()
    made.start(SETTINGS, {}, ["0.png"], **more)
    save_checkpoint(made.best, svip(Recipe(keep=2)), described)
    return made


def test_weights_trained_on_an_unseen_class_are_refused(run: Run, described: Metadata, data: Benchmark) -> None:
    """Image 2 is of an unseen class and scored; image 0 of a seen one and trained on."""
    evaluate_subject(started(run, described, "fine", initial_images=["0.png"]), data, SETTINGS)
    scored = started(run, described, "scored", initial_images=["0.png", "2.png"])
    with pytest.raises(DataError, match="scored was trained on 1 of the 8 images"):
        evaluate_subject(scored, data, SETTINGS)
    fewer = replace(data, test_unseen=data.test_unseen[1:])  # the class is still unseen, its first image not scored
    with pytest.raises(DataError, match="started from weights trained on 1 of the 2 unseen classes") as caught:
        evaluate_subject(scored, fewer, SETTINGS)
    assert caught.value.why == "c"


def test_a_gamma_from_validation_images_is_used_and_one_from_scored_images_refused(
    run: Run, described: Metadata, data: Benchmark
) -> None:
    development = {"gamma": 0.02, "runs": [{"run": "d1"}]}
    good = started(run, described, "good", development=development, validation_images=["4.png", "5.png"])
    evaluation = evaluate_subject(good, data, SETTINGS)
    assert evaluation.rows["gzsl-calibrated"]["gamma"] == 0.02
    assert evaluation.document["development"] == development
    assert "gzsl-calibrated" not in evaluate_subject(good.best.rename(good.last), data, SETTINGS).rows
    bad = started(run, described, "bad", development=development, validation_images=["4.png", "9.png"])
    with pytest.raises(DataError, match="the gamma of bad was chosen on 1 of the 8 images"):
        evaluate_subject(bad, data, SETTINGS)


def test_starting_weights_with_unknown_images_give_a_warning(run: Run, described: Metadata, data: Benchmark) -> None:
    unknown = replace(described, backbone_weights={"source": "mine.pth", "sha256": "", "images": UNKNOWN})
    evaluation = evaluate_subject(started(run, unknown, "unknown"), data, SETTINGS)
    assert "the training images of its starting weights (mine.pth) are not known" in evaluation.warnings
    assert "starting weights" not in " ".join(evaluate_subject(run, data, SETTINGS).warnings)
