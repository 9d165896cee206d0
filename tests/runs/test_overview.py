"""Test the overview of runs: states, figures, and means over seeds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from svipctl.runs.overview import FIGURES, Overview, overview, seed_groups
from svipctl.runs.run import Run
from tests.runs.made import rewrite

PROTOCOLS = {
    "zsl": {"T1": 60.0},
    "gzsl-calibrated": {"gamma": 0.1, "U": 40.0, "S": 50.0, "H": 44.4},
    "gzsl-oracle": {"gamma": 0.2, "U": 45.0, "S": 50.0, "H": 47.4},
    "ausuc": {"value": 30.0},
}


def evaluated(folder: Path, epoch: int = 1, **more: str) -> Overview:
    (folder / "eval").mkdir(exist_ok=True)
    document = {"epoch": epoch, "split": "test", "protocols": PROTOCOLS, **more}
    (folder / "eval" / "metrics.json").write_text(json.dumps(document))
    return overview(Run(folder))


def test_figures_are_those_of_the_evaluation(trained_copy: Path) -> None:
    found = evaluated(trained_copy)
    assert found.figures == {"T1": 60.0, "H": 44.4, "H_oracle": 47.4, "AUSUC": 30.0}
    assert (found.split, found.state, found.epochs) == ("test", "finished", 1)
    assert found.different["model.weights"] == "none"
    assert not {"name", "gpu", "train.epochs", "model.backbone", "data.workers"} & set(found.different)


def test_without_an_evaluation_the_figures_are_those_monitored_in_training_without_a_calibrated_h(
    trained_copy: Path,
) -> None:
    (record,) = Run(trained_copy).metrics
    found = evaluated(trained_copy, epoch=2)
    assert found.figures == {"T1": record["T1"], "H_oracle": record["H_oracle"]}
    assert found.split == record["monitor"] == "test"


def test_an_evaluation_of_other_weights_is_not_one_of_the_run(trained_copy: Path) -> None:
    manifest = json.loads((trained_copy / "checkpoints" / "best" / "manifest.json").read_text())
    own = manifest["files"]["model.safetensors"]["sha256"]
    assert evaluated(trained_copy, checkpoint_sha256=own).figures["H"] == 44.4
    assert "H" not in evaluated(trained_copy, checkpoint_sha256="0" * 64).figures
    assert Run(trained_copy).evaluation() is None


def test_a_run_is_unfinished_or_abandoned_according_to_its_files(trained_copy: Path) -> None:
    (trained_copy / "finished.json").unlink()
    assert overview(Run(trained_copy)).state == "unfinished"
    (trained_copy / "checkpoints" / "last").rename(trained_copy / "elsewhere")
    assert overview(Run(trained_copy)).state == "abandoned"


def of_seed(one: Overview, seed: int, t1: float, **settings: object) -> Overview:
    changed = one.settings.model_copy(update={"seed": seed, "name": f"s{seed}", **settings})
    return replace(one, settings=changed, figures={"T1": t1})


def test_runs_that_differ_only_in_their_seed_have_a_mean_and_a_deviation(trained_copy: Path) -> None:
    one = overview(Run(trained_copy))
    runs = [of_seed(one, 0, 50.0), of_seed(one, 1, 60.0), of_seed(one, 2, 70.0), of_seed(one, 3, 9.0, recipe="paper")]
    (group,) = seed_groups(runs)
    assert group.runs == tuple(runs[:3])
    assert group.mean("T1") == pytest.approx((60.0, 10.0))
    assert group.mean("H") is None
    assert set(group.document()["means"]) == {"T1"} < set(FIGURES)


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("environment.json", '"attributes_sha256": "', '"attributes_sha256": "0'),
        ("environment.json", '"sha256": ""', '"sha256": "0"'),
        ("training_images.txt", "0.png", "9.png"),
    ],
)
def test_runs_on_other_data_or_weights_are_not_a_sample_of_seeds(
    trained_copy: Path, file: str, old: str, new: str
) -> None:
    one = overview(Run(trained_copy))
    text = (trained_copy / file).read_text()
    assert old in text
    rewrite(trained_copy / file, text.replace(old, new))
    assert seed_groups([of_seed(one, 0, 50.0), of_seed(overview(Run(trained_copy)), 1, 60.0)]) == []


def test_two_runs_of_one_seed_are_not_a_sample_of_seeds(trained_copy: Path) -> None:
    one = overview(Run(trained_copy))
    assert seed_groups([of_seed(one, 0, 50.0), of_seed(one, 0, 60.0)]) == []
    (group,) = seed_groups([of_seed(one, 0, 50.0), of_seed(one, 1, 70.0), of_seed(one, 0, 60.0)])
    assert group.mean("T1") == pytest.approx((65.0, 50**0.5)), "the newest of each seed"


def test_a_mean_is_over_every_run_that_it_names(trained_copy: Path) -> None:
    one = overview(Run(trained_copy))
    with_h = [replace(of_seed(one, seed, 50.0), figures={"T1": 50.0, "H": 40.0}) for seed in (0, 1)]
    (group,) = seed_groups([*with_h, of_seed(one, 2, 80.0)])
    assert group.mean("T1") == pytest.approx((60.0, 300**0.5))
    assert group.mean("H") is None, "the third run has no H"


@pytest.mark.parametrize("state", ["training", "unfinished", "abandoned"])
def test_a_run_in_training_is_not_in_the_mean_of_finished_runs(trained_copy: Path, state: str) -> None:
    one = overview(Run(trained_copy))
    runs = [of_seed(one, 0, 50.0), of_seed(one, 1, 60.0), replace(of_seed(one, 2, 9.0), state=state)]
    (group,) = seed_groups(runs)
    assert group.runs == tuple(runs[:2])
