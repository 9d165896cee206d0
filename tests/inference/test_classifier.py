"""Answers equal the model's, reasons add up to the score, and nothing piles up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from svipctl.inference.classifier import Classifier, Named, Unreadable

from svipctl.datasets.images import Normalisation, Transform
from svipctl.device import cpu_has_bf16
from svipctl.errors import CheckFailed
from svipctl.inference.class_table import Candidates
from svipctl.model.recipe import Recipe
from tests.model.operators import CONVERTED, Operators
from tests.model.tiny import ATTRIBUTES, svip

NAMES = tuple(f"attribute_{number}" for number in range(ATTRIBUTES))
HALF = Normalisation([0.5] * 3, [0.5] * 3)


def candidates(count: int = 6) -> Candidates:
    table = np.random.default_rng(2).uniform(0.1, 1, (count, ATTRIBUTES))
    return Candidates(tuple(f"class_{number}" for number in range(count)), table, np.arange(count) < count // 2)


def classifier(*, recipe: Recipe | None = None, batch_size: int = 2, **changed: object) -> Classifier:
    settings = {"candidates": candidates(), "gamma": 0.0, "top": 3, "reasons": ATTRIBUTES} | changed
    settings = {"device": torch.device("cpu"), "dtype": torch.float32} | settings
    model = svip(recipe or Recipe(keep=2))
    return Classifier(model, NAMES, Transform(32), HALF, batch_size=batch_size, **settings)  # type: ignore[arg-type]


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(1)
    paths = [tmp_path / f"{number}.png" for number in range(5)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(path)
    return paths


@torch.no_grad()
def expected_scores(tool: Classifier, path: Path, kind: str) -> np.ndarray:
    pixels = torch.tensor(np.asarray(Image.open(path)).transpose(2, 0, 1)[None] / 255, dtype=torch.float32)
    predicted = tool.model.predict((pixels - 0.5) / 0.5).attributes[0].double().numpy()
    table = tool.candidates.class_attributes
    table = table / np.linalg.norm(table, axis=1, keepdims=True)
    if kind == "cosine":
        predicted = predicted / np.linalg.norm(predicted)
    return table @ predicted - tool.gamma * tool.candidates.seen


@pytest.mark.parametrize("kind", ["cosine", "dot"])
@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_answers_are_the_best_classes_in_the_order_of_the_images(
    kind: str, batch_size: int, pictures: list[Path]
) -> None:
    tool = classifier(recipe=Recipe(keep=2, class_score=kind), batch_size=batch_size, gamma=0.3)  # type: ignore[arg-type]
    found = [one for one in tool.classify(pictures) if isinstance(one, Named)]
    assert [one.image for one in found] == pictures
    for one in found:
        scores = expected_scores(tool, one.image, kind)
        best = np.argsort(-scores)[:3]
        assert [answer.name for answer in one.answers] == [f"class_{number}" for number in best]
        assert [answer.score for answer in one.answers] == pytest.approx(scores[best].tolist(), abs=1e-5)


@pytest.mark.parametrize("kind", ["cosine", "dot"])
def test_the_reasons_of_all_attributes_add_up_to_the_lead_over_the_other_classes(
    kind: str, pictures: list[Path]
) -> None:
    tool = classifier(recipe=Recipe(keep=2, class_score=kind), gamma=0.2)  # type: ignore[arg-type]
    for one in tool.classify(pictures[:2]):
        assert isinstance(one, Named)
        raw = expected_scores(tool, one.image, kind) + tool.gamma * tool.candidates.seen
        for answer in one.answers:
            mine = int(answer.name.removeprefix("class_"))
            lead = raw[mine] - np.delete(raw, mine).mean()
            weights = [reason.weight for reason in answer.speaks_for + answer.speaks_against]
            assert sum(weights) == pytest.approx(lead, abs=1e-5)
            assert all(reason.weight > 0 for reason in answer.speaks_for)
            assert all(reason.weight < 0 for reason in answer.speaks_against)
            table = tool.candidates.class_attributes / np.linalg.norm(tool.candidates.class_attributes, axis=1)[:, None]
            surplus = dict(zip(tool.attributes, table[mine] - np.delete(table, mine, axis=0).mean(axis=0)))
            assert all(
                reason.lacking == (surplus[reason.attribute] < 0)
                for reason in answer.speaks_for + answer.speaks_against
            )


def test_the_kept_windows_are_those_the_patch_classifier_calls_related(pictures: list[Path]) -> None:
    tool = classifier()
    (one,) = tool.classify(pictures[:1])
    assert isinstance(one, Named)
    pixels = HALF(tool.transform(Image.open(pictures[0]))[None])
    unrelated = tool.model.predict(pixels).unrelated[0].detach().numpy()
    assert one.kept.shape == (2, 2)
    assert set(np.flatnonzero(one.kept.ravel())) == set(np.argsort(unrelated)[:2])


def test_one_candidate_is_always_the_answer(pictures: list[Path]) -> None:
    (one,) = classifier(candidates=candidates(1)).classify(pictures[:1])
    assert isinstance(one, Named)
    assert [answer.name for answer in one.answers] == ["class_0"]


def test_unreadable_images_come_in_their_place_and_cost_no_answer(pictures: list[Path], tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    mixed = [tmp_path / "gone.png", pictures[0], tmp_path / "text.jpg", pictures[1], tmp_path / "gone.png"]
    found = list(classifier().classify(mixed))
    assert [type(one) for one in found] == [Unreadable, Named, Unreadable, Named, Unreadable]
    assert [one.image for one in found] == mixed
    alone = [one.answers for one in classifier().classify(pictures[:2]) if isinstance(one, Named)]
    assert [[a.name for a in one.answers] for one in found if isinstance(one, Named)] == [
        [a.name for a in answers] for answers in alone
    ]


def test_no_more_than_two_batches_are_read_ahead_of_the_answers(pictures: list[Path]) -> None:
    taken = [0]

    def endless() -> Iterator[Path]:
        while True:
            taken[0] += 1
            yield pictures[taken[0] % len(pictures)]

    for given, _ in enumerate(classifier(batch_size=2).classify(endless()), 1):
        assert taken[0] <= given + 4
        if given == 20:
            break


@pytest.mark.skipif(not cpu_has_bf16(), reason="weights are kept for bf16 products only")
def test_bf16_weights_are_converted_once_for_all_batches(pictures: list[Path]) -> None:
    tool = classifier(dtype=torch.bfloat16, batch_size=1)
    with Operators() as ran:
        assert len(list(tool.classify(pictures))) == len(pictures) > 1
    assert ran.names.count(CONVERTED) == 4 * len(tool.model.backbone.blocks)


def test_a_model_that_is_not_finite_is_not_believed(pictures: list[Path]) -> None:
    tool = classifier()
    with torch.no_grad():
        tool.model.attribute_head.bias[0] = torch.nan
    with pytest.raises(CheckFailed, match="not finite"):
        list(tool.classify(pictures))
