"""What figures show of an image is what the model, the evaluation and the files say of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from svipctl.errors import ConfigError, DataError
from svipctl.evaluation.score import selection
from svipctl.evaluation.truth import object_truth
from svipctl.inference.dataset_predictions import Predictor
from svipctl.model.recipe import Recipe
from svipctl.visuals.inspection import Inspection, inspect
from svipctl.visuals.subject import Subject
from tests.evaluation.cases import benchmark
from tests.visuals.cases import boxed, subject

ORDER = [7, 0, 11, 3, 2]


@torch.no_grad()
def test_values_are_the_models_image_by_image_in_the_order_asked_for(tmp_path: Path) -> None:
    looking = subject(tmp_path)
    model, data = looking.model, looking.benchmark
    found = list(inspect(looking, ORDER))
    assert [one.name for one in found] == [data.images[index] for index in ORDER]
    for index, one in zip(ORDER, found):
        pixels = np.asarray(Image.open(data.image_path(index)))
        assert np.array_equal(one.pixels, pixels)
        inputs = (torch.tensor(pixels.transpose(2, 0, 1)[None].astype(np.float32)) / 255 - 0.5) / 0.5
        expected = model.predict(inputs)
        np.testing.assert_allclose(one.attributes, expected.attributes[0], atol=1e-4)
        assert one.windows is not None
        np.testing.assert_allclose(one.windows.reshape(4, 5), expected.windows[0], atol=1e-4)
        assert one.related is not None
        np.testing.assert_allclose(one.related.ravel(), 1 - expected.unrelated[0], atol=1e-5)
        assert one.kept is not None
        assert one.kept.ravel().tolist() == expected.related[0].tolist()
        np.testing.assert_allclose(one.scores.ravel(), model.source_scores(inputs)[0], atol=1e-5)
        assert one.attention.shape == (2, 4, 4)
        assert one.true_class == "abcd"[index % 4]
        assert one.is_seen == (index % 4 < 2)
        assert one.is_right == (one.answer == one.true_class)


@pytest.mark.parametrize("has_boxes", [False, True])
def test_the_aucs_of_all_images_have_the_mean_that_eval_prints(tmp_path: Path, has_boxes: bool) -> None:
    data = benchmark(tmp_path, masks=True)
    looking = subject(tmp_path, data=boxed(data) if has_boxes else data)
    found = [one.auc for one in inspect(looking, range(12))]
    tool = Predictor(looking.model, looking.transform, looking.normalise, looking.device, looking.dtype, batch_size=5)
    predictions = tool.predict(looking.benchmark, np.arange(12), source_scores=True)
    geometry = looking.transform.for_evaluation.training_geometry
    quality = selection(looking.model, predictions, object_truth(looking.benchmark, np.arange(12), geometry, (2, 2)))
    printed = quality["box" if has_boxes else "mask"]
    assert isinstance(printed, dict)
    assert None not in found
    assert np.mean(np.array(found, dtype=float)) == pytest.approx(printed["auc"], abs=1e-9)


def test_masks_and_shares_are_where_the_object_is(tmp_path: Path) -> None:
    (one,) = inspect(subject(tmp_path), [4])
    assert one.mask is not None
    assert one.shares is not None
    assert one.mask.mean() == 0.25
    assert one.mask[:16, :16].all()
    assert one.shares.tolist() == [[1, 0], [0, 0]]
    (one,) = inspect(subject(tmp_path, data=boxed(benchmark(tmp_path))), [4])
    assert one.shares is not None
    assert one.shares.tolist() == [[1, 0], [1, 0]]


def test_a_picture_of_ones_own_has_no_truth(tmp_path: Path) -> None:
    path = tmp_path / "mine.jpg"
    Image.new("RGB", (90, 60), (200, 30, 30)).save(path)
    (one,) = inspect(subject(tmp_path), [path])
    assert (one.name, one.true_class, one.is_seen, one.is_right, one.mask, one.auc) == (str(path), *[None] * 5)
    assert one.pixels.shape == (32, 32, 3)
    (tmp_path / "broken.jpg").write_text("no picture")
    with pytest.raises(DataError, match="does not decode"):
        list(inspect(subject(tmp_path), [tmp_path / "broken.jpg"]))


def looked(looking: Subject) -> Inspection:
    return next(inspect(looking, [1]))


def test_recipes_without_a_selection_or_without_windows_say_so(tmp_path: Path) -> None:
    one = looked(subject(tmp_path, Recipe(passes="source")))
    assert (one.related, one.kept, one.auc) == (None, None, None)
    assert one.windows is not None
    one = looked(subject(tmp_path, Recipe(passes="source", head="class-token")))
    assert (one.kept, one.windows) == (None, None)


@pytest.mark.parametrize("source", ["rollout", "paper-rollout", "attention", "cosine"])
@pytest.mark.parametrize("backbone", [{}, {"class_token": False, "global_pool": "avg"}, {"reg_tokens": 2}])
def test_any_score_and_any_backbone_is_shown(tmp_path: Path, source: str, backbone: dict[str, object]) -> None:
    looking = subject(tmp_path, Recipe(keep=2, score_source=source), window=1, **backbone)
    one = looked(looking)
    assert one.scores.shape == (4, 4)
    assert one.attention.shape == (2, 4, 4)
    assert (one.attention.sum(axis=(1, 2)) <= 1 + 1e-5).all()
    assert (one.attention > 0).all()


def test_windows_chosen_by_the_object_are_kept_and_need_to_know_it(tmp_path: Path) -> None:
    looking = subject(tmp_path, Recipe(keep=1, selection="object"))
    one = looked(looking)
    assert one.kept is not None
    assert one.kept.tolist() == [[True, False], [False, False]]
    with pytest.raises(ConfigError, match="where the object is"):
        list(inspect(looking, [looking.benchmark.image_path(0)]))


def test_only_a_few_images_are_read_ahead(tmp_path: Path) -> None:
    read = 0

    def images() -> Iterator[int]:
        nonlocal read
        for read in range(1, 10_001):
            yield read % 12

    looking = inspect(subject(tmp_path), images())
    next(looking)
    assert read == 16
    for _ in range(16):
        next(looking)
    assert read == 32
