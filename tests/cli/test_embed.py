"""Test `svipctl embed`, and `svipctl baseline --features`, as a user runs them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from svipctl.datasets.feature_file import read_feature_file
from tests.cli.test_schemas import follows
from tests.conftest import NETWORK, Command
from tests.datasets.official_layout import lay_out, needs_metadata
from tests.processes import fresh

pytestmark = pytest.mark.slow

FREE = ("--backbone", "vit_tiny_patch16_224", "--weights", "none", "--gpu", "cpu", "--set", NETWORK)
FIGURES = ("protocols", "intervals", "per_image", "classes")


def test_a_file_of_a_data_set_gives_the_figures_of_its_images(small_folder: Path, tmp_path: Path) -> None:
    folder = str(small_folder)
    done = fresh("embed", folder, *FREE, "-o", "small.npz", "--json", "--quiet", cwd=tmp_path)
    assert done.code == 0, done.stderr
    assert done.stderr == ""
    assert follows("embed", done.document)
    assert (done.document["images"], done.document["width"], done.document["mirrored"]) == (56, 16, 36)
    expected = fresh("baseline", folder, *FREE, "--json", cwd=tmp_path).document
    shutil.rmtree(small_folder / "images")
    found = fresh("baseline", folder, "--features", "small.npz", "--name", "file", "--json", cwd=tmp_path)
    assert found.code == 0, found.stderr
    assert follows("baseline", found.document)
    assert {key: found.document[key] for key in FIGURES} == {key: expected[key] for key in FIGURES}
    assert json.loads((tmp_path / "runs/small/file/baseline.json").read_text())["features"] == (
        "mean patch token of the backbone from small.npz; fitted to images and their mirror images"
    )


def test_images_and_a_list_of_images_are_written_to_a_file(
    command: Command, shared_folder: Path, tmp_path: Path
) -> None:
    pictures = [str(path) for path in sorted((shared_folder / "images" / "seen_a").iterdir())]
    done = command("embed", str(shared_folder / "images" / "seen_a"), *FREE, "-o", "a.safetensors", "--json")
    assert done.code == 0, done.stderr
    assert follows("embed", done.document)
    file = read_feature_file(tmp_path / "a.safetensors")
    assert list(file.images) == pictures
    assert command("embed", *pictures[::-1], *FREE, "-o", "b.npz").code == 0
    other = read_feature_file(tmp_path / "b.npz")
    np.testing.assert_allclose(other.features[::-1], file.features, atol=1e-6)


def test_a_runs_backbone_is_used_and_its_features_are_refused_for_folds(
    command: Command, small_folder: Path, trained_copy: Path, tmp_path: Path
) -> None:
    folder = str(small_folder)
    done = command("embed", folder, "--run", "first", "--gpu", "cpu", "-o", "run.npz", "--json")
    assert done.code == 0, done.stderr
    assert follows("embed", done.document)
    assert done.document["run"] == "first"
    refused = command("baseline", folder, "--features", "run.npz")
    assert refused.code == 2
    assert "has features of a trained network" in refused.stderr
    both = command("embed", folder, "--run", "first", "--backbone", "lite", "-o", "run.npz")
    assert both.code == 2
    assert "the run determines its backbone" in both.stderr


def test_a_dry_run_writes_nothing(command: Command, shared_folder: Path, tmp_path: Path) -> None:
    done = command("embed", str(shared_folder), *FREE, "-o", "x.npz", "--dry-run", "--json")
    assert done.code == 0, done.stderr
    assert follows("embed", done.document)
    assert done.document["images"] == 56
    assert not (tmp_path / "x.npz").exists()


def test_embed_refuses_unusable_arguments(command: Command, shared_folder: Path) -> None:
    folder = str(shared_folder)
    for arguments, code, said in (
        ((folder, "more.jpg", "-o", "x.npz"), 2, "is a data set, and must be the only argument"),
        ((folder, "-o", "x.txt", *FREE), 2, "x.txt is not a file name for features"),
        (("gone.jpg", "-o", "x.npz"), 3, "image not found: gone.jpg"),
        ((folder, "-o", "x.npz", "--set", "optim.lr=1"), 2, "this command does not read it"),
    ):
        done = command("embed", *arguments)
        assert (done.code, done.stdout) == (code, ""), done.stderr
        assert said in done.stderr


def test_features_that_do_not_fit_are_refused_before_a_run_starts(
    command: Command, shared_folder: Path, tmp_path: Path
) -> None:
    names = sorted(str(path) for path in shared_folder.rglob("*.png"))
    np.savez(tmp_path / "few.npz", images=np.array(names[5:]), features=np.ones((len(names) - 5, 3)))
    np.savez(tmp_path / "nan.npz", images=np.array(names), features=np.full((len(names), 3), np.nan))
    for file, said in (("few.npz", "lacks features of 5 of the 56 images"), ("nan.npz", "not finite in 56 of 56 rows")):
        for more in ((), ("--dry-run",)):
            done = command("baseline", str(shared_folder), "--features", file, *more)
            assert done.code == 3
            assert said in done.stderr
    given = command("baseline", str(shared_folder), "--features", "few.npz", "--backbone", "lite")
    assert given.code == 2
    assert "model.backbone (flag): the features of data.features replace it" in given.stderr
    assert not (tmp_path / "runs").exists()


@needs_metadata
def test_a_benchmark_needs_no_photographs(command: Command, tmp_path: Path) -> None:
    """Features that are the class attributes themselves: a linear map finds every class."""
    from svipctl.datasets.proposed_split import read_proposed_split

    root = lay_out("awa2", tmp_path / "data")
    split = read_proposed_split(root / "xlsa17" / "data" / "AWA2")
    noise = np.random.default_rng(0).normal(size=(len(split.files), 85))
    table = split.class_attributes[split.labels] + noise
    np.savez(
        tmp_path / "made.npz", images=np.array(split.files), features=table.astype(np.float32), labels=split.labels
    )
    done = command("baseline", "awa2", "--features", "made.npz", "--set", "eval.bootstrap=0", "--json")
    assert done.code == 0, done.stderr
    assert done.stderr.count("no features of mirror images") == 1
    assert done.document["protocols"]["zsl"]["T1"] > 99
    assert done.document["protocols"]["gzsl-calibrated"]["H"] > 95
