"""Test that each switch of the reference recipe matters: changed alone, it makes a trace fail."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from svipctl.model.recipe import Recipe
from tests.reference.test_model_traces import RELATIVE, TRACES, trajectory
from tests.reference.traces import ModelTrace, published_terms

FLIPPED: dict[str, Any] = {
    "keep": 0.5,
    "score_source": "paper-rollout",
    "score_pooling": "windows",
    "classifier_targets": "soft",
    "passes": "source",
    "selection": "random",
    "training_selection": "classifier",
    "source_windows": "all",
    "contextualized_windows": "selected",
    "inference_windows": "selected",
    "pooling": "max",
    "context": "none",
    "context_layout": "patch-major",
    "class_score": "cosine",
    "class_norm_epsilon": 0.0,
    "scale": 4.0,
    "source_weight": 0.5,
    "contextualized_weight": 0.5,
    "consistency": "jensen-shannon",
    "consistency_weight": 0.0,
    "consistency_temperature": 10.0,
    "consistency_mean": "batch",
    "patch_weight": 1.0,
    "decorrelation_weight": 0.1,
    "decorrelation_squared": False,
}

OURS = {
    *("attention_queries", "attention_rank", "class_attributes", "whitening_shrinkage"),
    *("fusion", "fusion_weight", "fusion_penalties", "prototype_weight", "prototype_penalty"),
}
"""Switches with one value in the published code; tests/model covers their other values."""


@pytest.fixture(scope="module")
def trace() -> ModelTrace:
    """Return the cheapest trace (fewest attributes) whose decorrelation weight is not its own square."""
    telling = [trace for trace in TRACES if trace.config["att_dec"] != 1]
    return min(telling, key=lambda trace: trace.config["attributes"])


def differences(trace: ModelTrace, **changed: Any) -> list[str]:
    """Return the names of the figures of the trace's step 0 that a changed recipe does not reproduce."""
    model = trace.model(trace.recipe(**changed))
    with torch.no_grad():
        terms, output = trace.step(model, 0)
        inference = model(trace.batch(0)[0])
    arrays = {
        "source_attributes": output.source_attributes,
        "contextualized_attributes": output.contextualized_attributes,
        "patch_labels": output.patch_targets,
        "patch_scores": output.patch_logits.sigmoid(),
        "inference_attributes": inference,
    }
    wrong = [
        name
        for name, computed in arrays.items()
        if not np.allclose(computed.numpy(), trace.arrays[name], rtol=RELATIVE, atol=1e-9)
    ]
    figures = published_terms(terms)
    return wrong + [
        name
        for name, expected in trace.figures["terms"].items()
        if figures[name] != pytest.approx(expected, rel=RELATIVE, abs=1e-12)
    ]


QUICK = ("pooling", "consistency")
"""Switches that the fast tests flip; the others take as long each."""


def test_every_switch_of_the_recipe_is_flipped_here() -> None:
    # A head on the class token is refused in two passes; tests/model/test_selection_controls.py tests it in one.
    assert set(FLIPPED) | OURS | {"head"} == set(Recipe.model_fields)


def test_the_unchanged_recipe_has_no_differences(trace: ModelTrace) -> None:
    assert differences(trace) == []


@pytest.mark.parametrize(
    "switch", [switch if switch in QUICK else pytest.param(switch, marks=pytest.mark.slow) for switch in FLIPPED]
)
def test_flipping_the_switch_makes_a_trace_fail(trace: ModelTrace, switch: str) -> None:
    assert getattr(trace.recipe(), switch) != FLIPPED[switch]
    others = [other for other in TRACES if other is not trace]
    assert any(differences(one, **{switch: FLIPPED[switch]}) for one in (trace, *others))


def test_freezing_the_backbone_in_warmup_makes_a_trajectory_fail(trace: ModelTrace) -> None:
    frozen = trajectory(trace, "pre", steps=2, warmup_backbone="frozen")
    assert frozen["loss"] != pytest.approx(trace.figures["trajectory"]["pre"]["loss"][:2], rel=RELATIVE)
