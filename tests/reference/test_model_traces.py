"""Test that the reference recipe computes what the published implementation computes, value by value in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from svipctl.inference.weights_file import our_name
from svipctl.settings.schema import OptimSettings
from svipctl.training.optimisation import Optimisation
from tests.marks import first_fast
from tests.reference.traces import FOLDER, ModelTrace, model_traces, published_terms

TRACES = model_traces()
RELATIVE = 1e-6


@pytest.fixture(scope="module", params=first_fast(TRACES), ids=lambda trace: trace.stem.name)
def trace(request: pytest.FixtureRequest) -> ModelTrace:
    return request.param


def test_the_traces_exist() -> None:
    assert TRACES, f"no model traces in {FOLDER}"


def forward_values(trace: ModelTrace, **changed: Any) -> dict[str, np.ndarray]:
    """Return the arrays of the trace's npz, computed by the reference recipe with some switches changed."""
    model = trace.model(trace.recipe(**changed)).eval()
    with torch.no_grad():
        _, output = trace.step(model, 0)
        inference = model(trace.batch(0)[0])
    return {
        "source_attributes": output.source_attributes.numpy(),
        "contextualized_attributes": output.contextualized_attributes.numpy(),
        "patch_labels": output.patch_targets.numpy(),
        "patch_scores": output.patch_logits.sigmoid().numpy(),
        "inference_attributes": inference.numpy(),
    }


def test_forward_outputs_and_labels_equal_the_trace(trace: ModelTrace) -> None:
    computed = forward_values(trace)
    assert set(computed) == set(trace.arrays)
    for name, expected in trace.arrays.items():
        np.testing.assert_allclose(computed[name], expected, rtol=RELATIVE, atol=1e-9, err_msg=name)


def test_loss_terms_and_every_clipped_gradient_norm_equal_the_trace(trace: ModelTrace) -> None:
    model = trace.model(trace.recipe())
    terms, _ = trace.step(model, 0)
    assert published_terms(terms) == pytest.approx(trace.figures["terms"], rel=RELATIVE, abs=1e-12)

    terms.loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    parameters = dict(model.named_parameters())
    expected = {our_name(name): norm for name, norm in trace.figures["clipped_grad_norms"].items()}
    assert set(expected) == set(parameters)
    norms = {name: parameter.grad.norm().item() for name, parameter in parameters.items()}
    assert norms == pytest.approx(expected, rel=RELATIVE)
    total = torch.stack([p.grad.norm() for p in parameters.values()]).norm().item()
    assert total == pytest.approx(trace.figures["clipped_total"], rel=RELATIVE)
    assert all(our_name(name) is None for name in trace.figures["no_grad"])


def trajectory(trace: ModelTrace, phase: str, steps: int = 4, **optim: Any) -> dict[str, list[float]]:
    """Return the terms of the first steps of a phase (`pre` is warm-up, `full` is what follows)."""
    settings = OptimSettings(
        **{
            "optimizer": "adam",
            "lr": trace.config["lr"],
            "warmup_lr": trace.config["pre_lr"],
            "betas": (trace.config["beta"], 0.999),
            "schedule": "step",
            "warmup_epochs": 1 if phase == "pre" else 0,
            "warmup_backbone": "accumulate",
            **optim,
        }
    )
    model = trace.model(trace.recipe())
    optimisation = Optimisation(model, settings, epochs=1, steps_per_epoch=steps)
    optimisation.start_epoch(0)
    curve: dict[str, list[float]] = {}
    for step in range(steps):
        terms, _ = trace.step(model, step, frozen_backbone=optimisation.backbone_is_frozen(0))
        optimisation.forget_gradients()
        terms.loss.backward()
        optimisation.apply(0, step)
        for name, value in published_terms(terms).items():
            curve.setdefault(name, []).append(value)
    return curve


def check_trajectory(trace: ModelTrace, phase: str, steps: int) -> None:
    expected = dict(trace.figures["trajectory"][phase])
    assert expected.pop("lr") == trace.config["pre_lr" if phase == "pre" else "lr"]
    curve = trajectory(trace, phase, steps)
    assert set(curve) == set(expected)
    for name, values in expected.items():
        assert curve[name] == pytest.approx(values[:steps], rel=RELATIVE, abs=1e-12), name


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["pre", "full"])
def test_the_trajectory_equals_the_trace(trace: ModelTrace, phase: str) -> None:
    check_trajectory(trace, phase, steps=4)


@pytest.mark.parametrize("phase", first_fast(["full", "pre"]))
def test_the_first_two_steps_equal_the_trace(phase: str) -> None:
    check_trajectory(TRACES[0], phase, steps=2)
