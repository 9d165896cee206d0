"""Test the evaluation of a trained model on a data set."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from svipctl.datasets.benchmark import Benchmark
from svipctl.errors import DataError
from svipctl.evaluation.evaluate import evaluate_model, evaluate_subject, score_split
from svipctl.inference.checkpoint import Metadata
from svipctl.inference.dataset_predictions import Predictions, predict_dataset
from svipctl.inference.load import load_run
from svipctl.model.class_scorer import ClassScorer
from svipctl.model.recipe import Recipe
from svipctl.runs.run import Run
from svipctl.settings.schema import EvalSettings
from tests.evaluation.cases import SETTINGS, benchmark
from tests.inference.models import trained_model


def test_document_is_returned_and_saved_in_the_run(run: Run, data: Benchmark) -> None:
    evaluation = evaluate_subject(run, data, SETTINGS)
    document = evaluation.document
    assert json.loads((run.folder / "eval" / "metrics.json").read_text()) == document
    assert document["images"] == {"seen": 2, "unseen": 6}
    assert set(document["protocols"]) == {"zsl", "gzsl", "gzsl-oracle", "reference", "ausuc"}
    assert document["protocols"]["zsl"]["T1"] == 100 * evaluation.results.rows["zsl"]["T1"]
    assert document["selection"]
    assert (document["dataset"], document["run"], "checkpoint" in document) == ("toy", "run", False)


@pytest.mark.parametrize("kind", ["dot", "cosine"])
def test_scores_are_products_with_normalised_class_attributes(tmp_path: Path, kind: str) -> None:
    rng, data = np.random.default_rng(0), benchmark(tmp_path)
    predictions = Predictions(np.array([8, 2, 3]), *(rng.random((3, width)) for width in (5, 4, 4, 7)))
    scorer = ClassScorer(len(data.attributes), Recipe(class_score=kind, scale=3))  # type: ignore[arg-type]
    result = score_split(data, data.split(), predictions, scorer)
    table = data.class_attributes / np.linalg.norm(data.class_attributes, axis=1, keepdims=True)
    lengths = np.linalg.norm(predictions.attributes, axis=1, keepdims=True) if kind == "cosine" else 1
    np.testing.assert_allclose(result.scores, predictions.attributes / lengths @ table.T)
    assert result.labels.tolist() == [0, 2, 3]
    assert (result.seen_classes.tolist(), result.unseen_classes.tolist()) == ([0, 1], [2, 3])


def test_a_checkpoint_gets_the_numbers_of_its_run_and_nothing_is_written(run: Run, data: Benchmark) -> None:
    """Name the checkpoint, and use nothing that was chosen for the run's best epoch."""
    evaluation = evaluate_subject(run.best, data, SETTINGS)
    assert not (run.folder / "eval").exists()
    assert evaluation.document["checkpoint"]["file"] == "run/checkpoints/best"
    assert evaluation.document["run"] is None
    assert evaluation.rows == evaluate_subject(run, data, SETTINGS).rows


def test_the_evaluation_contains_the_model_the_split_and_the_predictions(run: Run, data: Benchmark) -> None:
    calls: list[tuple[int, int]] = []
    model = load_run(run, trained_model().device)
    settings = SETTINGS.model_copy(update={"eval": EvalSettings(batch_size=4, bootstrap=0, selection=False)})
    evaluation = evaluate_model(model, data, settings, lambda *call: calls.append(call))
    assert calls == [(4, 8), (8, 8)]
    assert evaluation.model is model
    assert evaluation.split.name == evaluation.document["split"] == "test"
    assert evaluation.predictions.indices.tolist() == [8, 9, 2, 3, 6, 7, 10, 11]
    assert evaluation.classes == data.classes
    assert evaluation.document["intervals"] == {}
    assert evaluation.document["selection"] == {}
    assert not (run.folder / "eval").exists()
    expected = predict_dataset(model, data, evaluation.predictions.indices).attributes
    np.testing.assert_allclose(evaluation.predictions.attributes, expected, atol=1e-5)


def test_a_model_without_a_run_is_scored_with_a_warning_that_its_images_are_unknown(
    described: Metadata, data: Benchmark
) -> None:
    model = replace(trained_model(), metadata=described, notes=("a note on its file",))
    evaluation = evaluate_model(model, data, SETTINGS)
    first, second = evaluation.warnings[:2]
    assert first == "a note on its file"
    assert "the training images of" in second
    with pytest.raises(DataError, match="other classes"):
        evaluate_model(trained_model(), data, SETTINGS)


def test_an_unusable_mask_is_reported_before_the_images_are_predicted(run: Run, data: Benchmark) -> None:
    masked, calls = benchmark(data.root, masks=True), list[tuple[int, int]]()
    (masked.root / masked.masks[masked.test_unseen[-1]]).write_text("no picture")
    with pytest.raises(DataError, match="does not decode"):
        evaluate_subject(run, masked, SETTINGS, lambda done, total: calls.append((done, total)))
    assert not calls


def test_a_run_in_training_is_scored_with_a_warning_that_it_is_unfinished(run: Run, data: Benchmark) -> None:
    assert "run is unfinished: this is its state after epoch 1 of 30" in evaluate_subject(run, data, SETTINGS).warnings
    (run.folder / "finished.json").write_text("{}")
    assert "unfinished" not in " ".join(evaluate_subject(run, data, SETTINGS).warnings)


def test_a_development_run_is_scored_on_the_validation_images_of_its_fold(run: Run, data: Benchmark) -> None:
    """Score four seen images: two of each seen class, one of which is the fold's."""
    folded = replace(data, folds=((1,),))
    config = SETTINGS.model_copy(update={"train": SETTINGS.train.model_copy(update={"fold": 1})})
    development = Run(run.folder.with_name("development"))
    development.make()
    split = folded.split(1)
    development.start(config, {}, [folded.images[index] for index in split.train])
    (development.folder / "checkpoints").mkdir()
    run.best.rename(development.best)
    evaluation = evaluate_subject(development, replace(folded), SETTINGS)
    assert evaluation.document["split"] == "fold-1"
    scored = set(evaluation.predictions.indices.tolist())
    assert scored == {*split.seen.tolist(), *split.unseen.tolist()} <= set(data.trainval.tolist())
