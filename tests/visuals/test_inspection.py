"""Test that figures show of an image what the model, the evaluation and the files contain."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from svipctl.errors import ConfigError, DataError
from svipctl.evaluation.selection_quality import patch_classifier_quality
from svipctl.evaluation.truth import object_truth
from svipctl.inference.dataset_predictions import predict_dataset
from svipctl.model.recipe import Recipe
from svipctl.runs.run import Run
from svipctl.visuals.attention import attention_sheet
from svipctl.visuals.inspection import Inspection, Inspector, evaluated_selection
from svipctl.visuals.patches import patch_sheet
from tests.evaluation.cases import benchmark
from tests.visuals.cases import boxed, tiny_inspector

ORDER = [7, 0, 11, 3, 2]


@torch.no_grad()
def test_values_are_the_models_image_by_image_in_the_requested_order(tmp_path: Path) -> None:
    inspector = tiny_inspector(tmp_path)
    network, data = inspector.model.network, inspector.benchmark
    found = list(inspector.inspect(ORDER))
    assert [one.name for one in found] == [data.images[index] for index in ORDER]
    for index, one in zip(ORDER, found):
        pixels = np.asarray(Image.open(data.image_path(index)))
        assert np.array_equal(one.pixels, pixels)
        inputs = (torch.tensor(pixels.transpose(2, 0, 1)[None].astype(np.float32)) / 255 - 0.5) / 0.5
        expected = network.predict(inputs)
        assert one.windows is not None
        np.testing.assert_allclose(one.windows.reshape(4, 5), expected.windows[0], atol=1e-4)
        assert one.related is not None
        np.testing.assert_allclose(one.related.ravel(), 1 - expected.unrelated[0], atol=1e-5)
        assert one.kept is not None
        assert one.kept.ravel().tolist() == expected.related[0].tolist()
        assert one.scores is not None
        np.testing.assert_allclose(one.scores.ravel(), network.source_scores(inputs)[0], atol=1e-5)
        assert one.attention.shape == (2, 4, 4)
        assert one.true_class == "abcd"[index % 4]
        assert one.is_seen == (index % 4 < 2)
        assert one.is_right == (one.answer.name == one.true_class)


@pytest.mark.parametrize("has_boxes", [False, True])
def test_the_aucs_of_all_images_have_the_mean_that_eval_prints(tmp_path: Path, has_boxes: bool) -> None:
    data = benchmark(tmp_path, masks=True)
    inspector = tiny_inspector(tmp_path, data=boxed(data) if has_boxes else data)
    found = [one.auc for one in inspector.inspect(range(12))]
    model, data, images = inspector.model, inspector.benchmark, np.arange(12)
    predictions = predict_dataset(model, data, images, batch_size=5, source_scores=True)
    truth = object_truth(data, images, model.geometry, (2, 2))
    quality = patch_classifier_quality(model.network, predictions, truth)
    printed = quality["box" if has_boxes else "mask"]
    assert isinstance(printed, dict)
    assert None not in found
    assert np.mean(np.array(found, dtype=float)) == pytest.approx(printed["auc"], abs=1e-9)


def test_masks_and_coverage_are_at_the_place_of_the_object(tmp_path: Path) -> None:
    (one,) = tiny_inspector(tmp_path).inspect([4])
    assert one.mask is not None
    assert one.shares is not None
    assert one.mask.mean() == 0.25
    assert one.mask[:16, :16].all()
    assert one.shares.tolist() == [[1, 0], [0, 0]]
    (one,) = tiny_inspector(tmp_path, data=boxed(benchmark(tmp_path))).inspect([4])
    assert one.shares is not None
    assert one.shares.tolist() == [[1, 0], [1, 0]]


def test_an_own_image_has_no_ground_truth(tmp_path: Path) -> None:
    path = tmp_path / "mine.jpg"
    Image.new("RGB", (90, 60), (200, 30, 30)).save(path)
    (one,) = tiny_inspector(tmp_path).inspect([path])
    assert (one.name, one.true_class, one.is_seen, one.is_right, one.mask, one.auc) == (str(path), *[None] * 5)
    assert one.pixels.shape == (32, 32, 3)
    (tmp_path / "broken.jpg").write_text("no picture")
    with pytest.raises(DataError, match="does not decode"):
        list(tiny_inspector(tmp_path).inspect([tmp_path / "broken.jpg"]))


def first(inspector: Inspector) -> Inspection:
    return next(inspector.inspect([1]))


def test_without_a_selection_or_windows_the_fields_are_none(tmp_path: Path) -> None:
    one = first(tiny_inspector(tmp_path, Recipe(passes="source")))
    assert (one.related, one.kept, one.auc) == (None, None, None)
    assert one.windows is not None
    one = first(tiny_inspector(tmp_path, Recipe(passes="source", head="class-token")))
    assert (one.kept, one.windows) == (None, None)


def test_a_backbone_without_blocks_has_attribute_maps_but_no_attention(tmp_path: Path) -> None:
    inspector = tiny_inspector(tmp_path, Recipe(passes="source", head="attribute-attention"), depth=0)
    one = first(inspector)
    assert (one.scores, one.kept, one.related) == (None, None, None)
    assert one.attention.shape == (0, 4, 4)
    assert one.windows is not None
    pixels = inspector.model.inputs(torch.from_numpy(one.pixels.transpose(2, 0, 1)[None]))
    predicted = inspector.model.network.predict(pixels).attributes[0].detach()
    np.testing.assert_allclose(one.windows.mean(axis=(0, 1)), predicted, atol=1e-5)
    patch_sheet([one], "title", score_source="rollout")
    with pytest.raises(ConfigError, match="no attention"):
        attention_sheet([one], "title", score="rollout")
    with_cosine = Recipe(head="attribute-attention", score_source="cosine", keep=2)
    assert first(tiny_inspector(tmp_path, with_cosine, depth=0)).scores is not None


@pytest.mark.parametrize("source", ["rollout", "paper-rollout", "attention", "cosine"])
@pytest.mark.parametrize("backbone", [{}, {"class_token": False, "global_pool": "avg"}, {"reg_tokens": 2}])
def test_every_score_source_and_backbone_is_shown(tmp_path: Path, source: str, backbone: dict[str, object]) -> None:
    inspector = tiny_inspector(tmp_path, Recipe(keep=2, score_source=source), window=1, **backbone)
    one = first(inspector)
    assert one.scores is not None
    assert one.scores.shape == (4, 4)
    assert one.attention.shape == (2, 4, 4)
    assert (one.attention.sum(axis=(1, 2)) <= 1 + 1e-5).all()
    assert (one.attention > 0).all()


def test_windows_selected_by_the_object_are_kept_and_need_its_location(tmp_path: Path) -> None:
    inspector = tiny_inspector(tmp_path, Recipe(keep=1, selection="object"))
    one = first(inspector)
    assert one.kept is not None
    assert one.kept.tolist() == [[True, False], [False, False]]
    with pytest.raises(ConfigError, match="needs the location of the object"):
        list(inspector.inspect([inspector.benchmark.image_path(0)]))


def test_only_a_few_images_are_read_ahead(tmp_path: Path) -> None:
    inspector = tiny_inspector(tmp_path)
    late = tmp_path / "late.png"
    found = inspector.inspect([*[inspector.benchmark.image_path(0)] * 40, late])
    next(found)
    Image.new("RGB", (32, 32)).save(late)  # in time, because it is read only shortly before its turn
    assert [one.name for one in found][-1] == str(late)


def test_an_undecodable_image_is_an_error_in_its_turn(tmp_path: Path) -> None:
    inspector = tiny_inspector(tmp_path)
    found = inspector.inspect([*[inspector.benchmark.image_path(0)] * 40, tmp_path / "missing.png"])
    assert [next(found).name for _ in range(32)]
    with pytest.raises(DataError, match=r"missing\.png"):
        list(found)


def evaluated(folder: Path, text: str) -> Run:
    (folder / "eval").mkdir(exist_ok=True)
    (folder / "eval" / "metrics.json").write_text(text)
    return Run(folder)


def test_the_evaluated_selection_is_that_of_this_checkpoint_or_empty(tmp_path: Path) -> None:
    assert evaluated_selection(Run(tmp_path), 3) == {}
    document = {"epoch": 3, "images": {"seen": 4, "unseen": 5}, "selection": {"auc": 90, "mask": {"auc": 81.5}}}
    run = evaluated(tmp_path, json.dumps(document))
    assert evaluated_selection(run, 3) == {"auc": 81.5, "images": 9}
    assert evaluated_selection(run, 4) == {}
    document["selection"] = {"auc": 90, "box": {"auc": 77}}
    assert evaluated_selection(evaluated(tmp_path, json.dumps(document)), 3) == {"auc": 77, "images": 9}
    document["selection"] = {"auc": 90, "mask": {}}
    assert evaluated_selection(evaluated(tmp_path, json.dumps(document)), 3) == {}
    for damaged in ("{", "[]", '{"epoch": 3, "selection": {"mask": {"auc": "much"}}}'):
        with pytest.raises(DataError, match="damaged"):
            evaluated_selection(evaluated(tmp_path, damaged), 3)
