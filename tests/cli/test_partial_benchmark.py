"""Test official benchmarks with missing images, in real processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Command
from tests.datasets.official_layout import lay_out, needs_metadata, needs_photographs

pytestmark = [pytest.mark.slow, needs_metadata, needs_photographs]


def test_training_on_part_of_cub_is_refused_and_works_with_allow_partial(
    command: Command, tmp_path: Path, tiny: tuple[str, ...]
) -> None:
    lay_out("cub", tmp_path / "data", photographs=True)
    refused = command("train", "cub", *tiny)
    assert refused.code == 3
    assert "cub lacks 8,899 of 11,788 images" in refused.stderr
    assert "--allow-partial" in refused.stderr
    assert not (tmp_path / "runs").exists()

    done = command("train", "cub", *tiny, "--batch-size", "64", "--allow-partial")
    assert done.code == 0, done.stderr
    assert "numbers are not comparable with published ones" in done.stderr
    assert "051.Horned_Grebe (60)" in done.stderr
    trained = (tmp_path / "runs" / "cub" / "svipctl-seed0" / "training_images.txt").read_text().split("\n")
    assert len(trained) == 1837 + 1

    scored = command("eval", "cub", "--json", "--gpu", "cpu", "--set", "data.workers=0", "--set", "eval.bootstrap=0")
    assert scored.code == 0, scored.stderr
    assert scored.document["images"] == {"seen": 460, "unseen": 592}
    assert scored.document["missing_images"] == 8899
    assert "not comparable" in scored.document["warnings"][0]
