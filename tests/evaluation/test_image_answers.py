"""`eval/images.csv` has the answers for each image, and reads back as what was scored."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given

from svipctl.errors import DataError
from svipctl.evaluation.bootstrap import resampled_metrics
from svipctl.evaluation.image_answers import IMAGES, read_answers, save_evaluation
from svipctl.evaluation.protocols import Scored, evaluate_protocols
from svipctl.evaluation.result import Evaluation, evaluation_document
from svipctl.runs.run import Run
from tests.evaluation.cases import adversarial, scored

GAMMAS = {"gzsl": 0.0, "gzsl-calibrated": 0.3}


def saved(one: Scored, folder: Path) -> Run:
    """A run with the evaluation of these scores, under names that CSV and spreadsheets could misread."""
    classes = tuple(f"={number}, a" for number in range(one.scores.shape[1]))
    images = [f"images/{number:04}, b.png" for number in range(len(one.labels))]
    results = evaluate_protocols(one, gamma=0.3, resamples=0)
    document = evaluation_document(results, classes, {})
    run = Run(folder)
    save_evaluation(run, Evaluation(document, results, one, classes, images=tuple(images)))
    return run


@given(one=adversarial())
def test_what_is_read_gives_the_metrics_of_every_resample(
    one: Scored, tmp_path_factory: pytest.TempPathFactory
) -> None:
    found = read_answers(saved(one, tmp_path_factory.mktemp("run")))
    assert found is not None
    images, answers = found
    assert list(images) == [f"images/{number:04}, b.png" for number in range(len(one.labels))]
    ours, expected = (resampled_metrics(each, GAMMAS, 10, 0) for each in (answers, one.answers()))
    assert ours.keys() == expected.keys()
    for key, values in ours.items():
        np.testing.assert_array_equal(values, expected[key])


def test_a_line_has_the_best_seen_and_the_best_unseen_class_with_their_scores(tmp_path: Path) -> None:
    one = scored(0, images=6, classes=6)
    with (saved(one, tmp_path).folder / IMAGES).open(newline="") as file:
        lines = list(csv.DictReader(file))
    for line, scores, label in zip(lines, one.scores, one.labels, strict=True):
        best = scores[:3].argmax(), 3 + scores[3:].argmax()
        assert line["class"] == f"'={label}, a"
        assert line["seen"] == str(int(label < 3))
        assert (line["seen_answer"], line["unseen_answer"]) == tuple(f"'={number}, a" for number in best)
        assert (float(line["seen_score"]), float(line["unseen_score"])) == tuple(scores[list(best)])


def test_an_evaluation_of_an_earlier_release_has_no_answers(tmp_path: Path) -> None:
    run = saved(scored(0), tmp_path)
    (tmp_path / IMAGES).unlink()
    assert read_answers(run) is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace("seen_score", "score", 1),
        lambda text: text[: len(text) // 2],
        lambda text: text.replace(",1,", ",one,", 1),
        lambda text: "".join(text.splitlines(keepends=True)[:-1]),
        lambda text: "",
        lambda text: re.sub(r",[0-9.-]+\n", ",nan\n", text, count=1),
        lambda text: re.sub(r",[0-9.-]+\n", ",inf\n", text, count=1),
        lambda text: re.sub(r",[0-9.-]+\n", ",1_0\n", text, count=1),
        lambda text: text.replace(",1,", ",2,", 1),
        lambda text: re.sub(r"images/[^\n]*,0,[^\n]*\n", "", text, count=1),
    ],
    ids=[
        "column",
        "truncated",
        "word",
        "one image less",
        "empty",
        "nan",
        "inf",
        "1_0",
        "seen is 2",
        "an unseen image less",
    ],
)
def test_a_damaged_file_or_one_of_another_evaluation_is_an_error(tmp_path: Path, damage: Callable[[str], str]) -> None:
    run = saved(scored(0), tmp_path)
    path = tmp_path / IMAGES
    path.write_text(damage(path.read_text()))
    with pytest.raises(DataError, match="images.csv") as caught:
        read_answers(run)
    assert "eval" in caught.value.todo
