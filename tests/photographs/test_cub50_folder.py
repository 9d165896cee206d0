"""Test real photographs in a data folder: from files to metrics."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from svipctl.datasets.folder import open_folder
from tests.photographs.cub50_folder import SOURCE, build

pytestmark = [
    pytest.mark.slow,
    pytest.mark.photographs,
    pytest.mark.skipif(not (SOURCE / "cub50").is_dir(), reason=f"no photographs in {SOURCE}"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("photographs") / "cub50")


def test_the_proposed_split_has_its_published_counts(folder: Path) -> None:
    benchmark = open_folder(folder)
    counts = [len(part) for part in (benchmark.trainval, benchmark.test_seen, benchmark.test_unseen)]
    assert counts == [1837, 460, 592]
    assert (len(benchmark.seen_classes), len(benchmark.unseen_classes)) == (40, 10)
    assert (len(benchmark.attributes), len(benchmark.groups)) == (312, 28)


def test_a_small_network_trains_and_evaluates_on_photographs(folder: Path, tmp_path: Path) -> None:
    runs = ["--runs-dir", str(tmp_path / "runs"), "--gpu", "cpu", "--quiet"]
    network = "model.backbone_args={img_size=64,patch_size=16,embed_dim=32,depth=2,num_heads=2}"
    small = ["--backbone", "vit_tiny", "--weights", "none", "--epochs", "1", "--set", network]
    command = [sys.executable, "-m", "svipctl"]
    subprocess.run([*command, "train", str(folder), *small, "--set", "optim.warmup_epochs=0", *runs], check=True)
    evaluated = subprocess.run(
        [*command, "eval", str(folder), "--json", *runs], check=True, capture_output=True, text=True
    )
    document = json.loads(evaluated.stdout)
    assert document["images"] == {"seen": 460, "unseen": 592}
    assert set(document["protocols"]) == {"zsl", "gzsl", "gzsl-oracle", "reference", "ausuc"}
