"""Compare the quality of the selection with counting pairs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from svipctl.datasets.benchmark import Benchmark
from svipctl.datasets.images import Geometry
from svipctl.datasets.object_masks import window_shares
from svipctl.evaluation.selection_quality import BACKGROUND_SHARE, patch_classifier_quality, selection_quality
from svipctl.evaluation.truth import ObjectTruth, object_truth
from svipctl.inference.dataset_predictions import Predictions
from svipctl.model.recipe import Recipe
from tests.evaluation.cases import benchmark
from tests.model.tiny import svip


@pytest.fixture
def predictions() -> Predictions:
    rng = np.random.default_rng(0)
    return Predictions(np.array([8, 2, 3]), *(rng.random((3, width)) for width in (5, 4, 4, 7)))


def truth_of(data: Benchmark, predictions: Predictions) -> ObjectTruth | None:
    return object_truth(data, predictions.indices, Geometry("shorter-side", 32), (2, 2))


@settings(max_examples=60)
@given(seed=st.integers(0, 10**6), levels=st.sampled_from([2, 1000]), rejected=st.integers(1, 8))
def test_auc_and_recall_equal_brute_force(seed: int, levels: int, rejected: int) -> None:
    rng = np.random.default_rng(seed)
    unrelated, truth = rng.integers(0, levels, (4, 9)) / levels, rng.random((4, 9)) < 0.4
    aucs, recalls = [], []
    for values, marks in zip(unrelated, truth):
        if 0 < marks.sum() < 9:
            pairs = [(p > n) + (p == n) / 2 for p in values[marks] for n in values[~marks]]
            aucs.append(np.mean(pairs))
            found = 0.0
            for level in np.unique(values)[::-1]:
                tied, left = values == level, rejected - (values > level).sum()
                found += marks[tied].sum() * min(max(left / tied.sum(), 0), 1)
            recalls.append(found / min(marks.sum(), rejected))
    expected = {"auc": 100 * np.mean(aucs), "recall": 100 * np.mean(recalls)} if aucs else {}
    assert selection_quality(unrelated, truth, rejected) == pytest.approx(expected)


def test_perfect_and_inverted_selection_are_100_and_0() -> None:
    truth = np.array([[True, True, False, False]])
    assert selection_quality(truth.astype(float), truth, 2) == {"auc": 100, "recall": 100}
    assert selection_quality(1 - truth.astype(float), truth, 2) == {"auc": 0, "recall": 0}


def test_a_constant_classifier_is_at_chance_wherever_the_background_is() -> None:
    truth = np.array([[True, True, False, False], [False, False, True, True]])
    assert selection_quality(np.full((2, 4), 0.3), truth, 2) == {"auc": 50, "recall": 50}


def test_recall_needs_unrelated_windows_and_auc_needs_both_kinds() -> None:
    truth = np.array([[True, False]])
    assert set(selection_quality(np.array([[0.2, 0.1]]), truth, 0)) == {"auc"}
    assert selection_quality(np.array([[0.2, 0.1]]), np.array([[True, True]]), 1) == {}


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), height=st.integers(7, 40), width=st.integers(7, 40))
def test_background_windows_equal_counting_pixels(seed: int, height: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((height, width)) < rng.choice([0.02, 0.06, 0.5])
    expected = []
    for row in range(5):
        for column in range(7):
            top, bottom = round(height * row / 5), round(height * (row + 1) / 5)
            left, right = round(width * column / 7), round(width * (column + 1) / 7)
            expected.append(mask[top:bottom, left:right].mean() < 0.05)
    assert (window_shares(mask, 5, 7) < BACKGROUND_SHARE).ravel().tolist() == expected


def test_the_patch_classifier_is_measured_against_its_labels_and_masks(
    tmp_path: Path, predictions: Predictions
) -> None:
    network = svip(Recipe(keep=2))
    found = patch_classifier_quality(network, predictions, truth_of(benchmark(tmp_path, masks=True), predictions))
    assert set(found) == {"auc", "recall", "mask"}
    lowest_two = np.argsort(predictions.source_scores, axis=1)[:, :2]  # those that are not among the two kept
    labels = np.zeros((3, 4), dtype=bool)
    np.put_along_axis(labels, lowest_two, True, axis=1)
    assert {key: found[key] for key in ("auc", "recall")} == selection_quality(predictions.unrelated, labels, 2)
    first = predictions.unrelated[:, :1]  # the object fills window 0, the others are background
    assert found["mask"]["auc"] == pytest.approx(100 * (predictions.unrelated[:, 1:] > first).mean())
    boxes = np.tile([0.0, 0.0, 16.0, 16.0], (12, 1))  # the same quarter as the masks
    boxed = replace(benchmark(tmp_path), boxes=boxes)
    assert patch_classifier_quality(network, predictions, truth_of(boxed, predictions))["box"] == found["mask"]
    bare = patch_classifier_quality(network, predictions, truth_of(benchmark(tmp_path), predictions))
    assert set(bare) == {"auc", "recall"}


def test_masks_are_transformed_like_the_images(tmp_path: Path, predictions: Predictions) -> None:
    data = benchmark(tmp_path, masks=True)
    pixels = np.zeros((32, 64), dtype=np.uint8)
    pixels[:, :16] = 255  # wide images whose object is in the left quarter, which the centre crop cuts away
    for file in (*data.images, *data.masks):
        Image.fromarray(pixels).save(tmp_path / file)
    assert patch_classifier_quality(svip(Recipe(keep=2)), predictions, truth_of(data, predictions))["mask"] == {}


def test_without_scores_of_the_source_pass_there_are_no_labels_to_compare_with(predictions: Predictions) -> None:
    assert patch_classifier_quality(svip(), replace(predictions, source_scores=None), None) == {}
