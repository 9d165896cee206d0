"""Test the self-test of a device: it finds agreement with the CPU, and disagreement."""

from __future__ import annotations

import pytest
import torch

from svipctl.doctor.self_test import TOLERANCE, compare_with_cpu, relative_difference, self_test

CPU = torch.device("cpu")


def test_the_cpu_agrees_with_itself_and_reports_its_speed() -> None:
    found = {finding.name: finding for finding in self_test("cpu", dataset="toybirds")}
    assert {"self-test fp32", "self-test speed", "self-test memory"} <= set(found)
    assert {finding.state for finding in found.values()} == {"ok"}
    assert "images/s" in found["self-test speed"].found


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("wrong", [2.0, float("nan"), float("inf")])
def test_a_different_result_is_wrong(dtype: torch.dtype, wrong: float) -> None:
    expected = {"loss": torch.ones(2)}
    good = compare_with_cpu("test", CPU, {"loss": torch.ones(2)}, expected, dtype)
    bad = compare_with_cpu("test", CPU, {"loss": torch.tensor([1.0, wrong])}, expected, dtype)
    assert (good.state, bad.state) == ("ok", "wrong")
    assert bad.todo


def test_a_difference_is_relative_to_the_expected_value() -> None:
    assert relative_difference(torch.tensor([3.0, 4.5]), torch.tensor([3.0, 4.0])) == pytest.approx(0.1)
