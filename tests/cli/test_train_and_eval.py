"""Test `svipctl train` and `svipctl eval` on a tiny data folder: what they write, print and refuse."""

from __future__ import annotations

import csv
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import SEEN, TESTED, TRAINED, UNSEEN, Command
from tests.processes import Finished, files_under, fresh
from tests.reference.traces import FOLDER
from tests.runs.made import rewrite

pytestmark = pytest.mark.slow

GZSL_ROWS = {"gzsl", "gzsl-oracle", "reference", "ausuc"}


@pytest.fixture(scope="module")
def evaluated(trained: Path, shared_folder: Path) -> Finished:
    """Return the document of `svipctl eval --json` of the trained run, from a new process."""
    return fresh("eval", str(shared_folder), "--json", "--gpu", "cpu", cwd=trained.parents[2])


@pytest.mark.fast
def test_a_run_folder_has_every_documented_file(trained: Path, evaluated: Finished) -> None:
    assert evaluated.code == 0, evaluated.stderr
    files = set(files_under(trained))
    expected = {
        "config.toml",
        "origins.json",
        "environment.json",
        "metrics.jsonl",
        "metrics.csv",
        "steps.jsonl",
        "finished.json",
    }
    expected |= {"training_images.txt", "eval/metrics.json", "eval/images.csv", "checkpoints/last/training.pt"}
    expected |= {"checkpoints/best/validation_curve.json", "manifest.json"}
    for name in ("last", "best"):
        files_of_one = ("model.safetensors", "metadata.json", "manifest.json")
        expected |= {f"checkpoints/{name}/{file}" for file in files_of_one}
    assert files == expected


def test_the_run_records_its_settings_and_environment(trained: Path) -> None:
    config = tomllib.loads((trained / "config.toml").read_text())
    assert (config["train"]["epochs"], config["train"]["batch_size"], config["seed"]) == (1, 4, 0)
    assert config["model"]["backbone_args"]["embed_dim"] == 16
    environment = json.loads((trained / "environment.json").read_text())
    assert environment["device"] == "cpu"
    assert environment["packages"].keys() >= {"svipctl", "torch", "timm", "numpy"}
    assert environment["weights"] == {"source": "none", "sha256": ""}
    images = (trained / "training_images.txt").read_text().splitlines()
    assert sorted(images) == sorted(f"images/{name}/{index}.png" for name in SEEN for index in range(TRAINED))


@pytest.mark.fast
def test_metrics_csv_and_jsonl_agree(trained: Path) -> None:
    (record,) = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    with (trained / "metrics.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row == {name: str(value) for name, value in record.items()}
    assert record["epoch"] == 1


@pytest.mark.fast
def test_the_document_of_eval_has_the_documented_keys(evaluated: Finished, trained: Path) -> None:
    document = evaluated.document
    assert {"dataset", "run", "recipe", "images", "protocols", "intervals", "selection"} <= set(document)
    assert (document["dataset"], document["run"], document["recipe"]) == ("small", "first", "svipctl")
    assert document["images"] == {"seen": len(SEEN) * TESTED, "unseen": len(UNSEEN) * 2 * TESTED}
    protocols = document["protocols"]
    assert {row: set(figures) for row, figures in protocols.items()} == {
        "zsl": {"T1"},
        "gzsl": {"U", "S", "H"},
        "gzsl-oracle": {"gamma", "U", "S", "H"},
        "reference": {"offset", "U", "S", "H"},
        "ausuc": {"value"},
    }
    percentages = [
        value for row in protocols.values() for name, value in row.items() if name not in ("gamma", "offset")
    ]
    assert all(0 <= value <= 100 for value in percentages)
    assert set(document["selection"]) >= {"auc", "recall"}
    assert "no row gzsl-calibrated" in evaluated.stderr
    assert json.loads((trained / "eval" / "metrics.json").read_text()) == document


def test_best_h_is_at_least_the_uncalibrated_one(evaluated: Finished) -> None:
    rows = evaluated.document["protocols"]
    assert rows["gzsl-oracle"]["H"] >= rows["gzsl"]["H"]
    seen, unseen = rows["gzsl"]["S"], rows["gzsl"]["U"]
    expected = 2 * seen * unseen / (seen + unseen) if seen + unseen else 0
    assert rows["gzsl"]["H"] == pytest.approx(expected)


@pytest.mark.fast
def test_a_run_trained_on_test_images_is_not_evaluated(
    command: Command, trained_copy: Path, shared_folder: Path
) -> None:
    images = trained_copy / "training_images.txt"
    rewrite(images, images.read_text() + "images/unseen_x/0.png\n")
    done = command("eval", str(shared_folder), "--gpu", "cpu")
    assert (done.code, done.stdout) == (3, "")
    assert "was trained on 1 of the 20" in done.stderr
    assert "images/unseen_x/0.png" in done.stderr
    assert not (trained_copy / "eval").exists()


def test_a_run_of_other_classes_is_not_evaluated(command: Command, trained_copy: Path, small_folder: Path) -> None:
    table = small_folder / "attributes.csv"
    table.write_text(table.read_text().replace("has_wing_color::blue", "has_wing_color::black"))
    unnamed = command("eval", str(small_folder), "--gpu", "cpu")
    assert (unnamed.code, unnamed.stdout) == (3, "")
    assert "were trained on another data folder with that name" in unnamed.stderr
    done = command("eval", str(small_folder), "--run", "first", "--gpu", "cpu")
    assert (done.code, done.stdout) == (3, "")
    assert "other attributes" in done.stderr


@pytest.mark.parametrize("run", ["first", "runs/small/first"])
def test_a_run_is_found_by_name_and_by_path(
    run: str, command: Command, trained_copy: Path, shared_folder: Path
) -> None:
    flags = ("--run", run, "--zsl", "--json", "--quiet", "--gpu", "cpu", "--set", "eval.bootstrap=0")
    done = command("eval", str(shared_folder), *flags)
    assert (done.code, done.stderr) == (0, "")
    assert set(done.document["protocols"]) == {"zsl"}


def test_a_misspelt_run_name_suggests_the_nearest(command: Command, trained_copy: Path, shared_folder: Path) -> None:
    done = command("eval", str(shared_folder), "--run", "frist", "--gpu", "cpu")
    assert (done.code, done.stdout) == (3, "")
    assert "did you mean 'first'" in done.stderr


@pytest.mark.parametrize(
    ("flags", "rows"),
    [
        ((), {"zsl"} | GZSL_ROWS),
        (("--zsl",), {"zsl"}),
        (("--gzsl",), GZSL_ROWS),
        (("--zsl", "--gzsl"), {"zsl"} | GZSL_ROWS),
    ],
)
@pytest.mark.fast
def test_predictions_of_any_model_are_scored_and_filtered(
    flags: tuple[str, ...], rows: set[str], command: Command
) -> None:
    expected: dict[str, Any] = json.loads((FOLDER / "evaluation" / "tiny.json").read_text())
    tiny_file = (FOLDER / "evaluation" / "tiny.npz").resolve()
    done = command("eval", "--predictions", str(tiny_file), "--json", *flags)
    assert done.code == 0, done.stderr
    protocols = done.document["protocols"]
    assert set(protocols) == rows
    assert set(done.document["intervals"]) <= rows
    if "zsl" in rows:
        assert protocols["zsl"]["T1"] == pytest.approx(expected["zsl"], rel=1e-6)
    if "gzsl" in rows:
        figures = [protocols["gzsl"][name] for name in "USH"]
        assert figures == pytest.approx([expected[f"gzsl_{name}"] for name in ("unseen", "seen", "h")], rel=1e-6)


@pytest.mark.parametrize(
    "flag", ["--run=a", "--set=eval.bootstrap=0", "--gpu=cpu", "--batch-size=2", "--config=c.toml"]
)
def test_flags_without_effect_on_a_predictions_file_are_refused(flag: str, command: Command) -> None:
    done = command("eval", "--predictions", str((FOLDER / "evaluation" / "tiny.npz").resolve()), flag)
    assert (done.code, done.stdout) == (2, "")
    assert f"omit {flag.partition('=')[0]}\n" in done.stderr


@pytest.mark.parametrize("arguments", [("eval",), ("eval", "cub", "--predictions", "mine.npz")])
def test_eval_needs_either_a_data_set_or_predictions(arguments: tuple[str, ...], command: Command) -> None:
    done = command(*arguments)
    assert (done.code, done.stdout) == (2, "")
    assert ("name a data set, --run RUN" if len(arguments) == 1 else "--predictions needs no data set") in done.stderr


def test_rows_are_written_as_csv_and_as_markdown(command: Command) -> None:
    words = ("eval", "--predictions", str((FOLDER / "evaluation" / "tiny.npz").resolve()))
    rows = command(*words, "--csv")
    assert rows.stdout.startswith("protocol,average,T1,U,S,H,value,")
    assert command(*words, "--csv", "--gzsl").stdout.count("\n") < rows.stdout.count("\n")
    assert command(*words, "--markdown").stdout.startswith("| protocol | average | T1 |")
    refused = command(*words, "--csv", "--json")
    assert refused.code == 2
    assert "choose one" in refused.stderr


def test_a_checkpoint_of_a_run_knows_its_recipe(command: Command, shared_folder: Path, trained_copy: Path) -> None:
    checkpoint = str(trained_copy / "checkpoints" / "best")
    refused = command("eval", str(shared_folder), "--checkpoint", checkpoint, "--recipe", "paper")
    assert refused.code == 2
    assert "omit --recipe and --backbone" in refused.stderr


def test_a_run_knows_its_data_set(command: Command, shared_folder: Path, trained_copy: Path) -> None:
    named = command("eval", "--run", str(trained_copy), "--gpu", "cpu", "--json", "--set", "eval.bootstrap=0")
    assert named.code == 0, named.stderr
    assert named.document["dataset"] == "small"
    assert named.document["run"] == "first"


def test_dry_run_prints_the_plan_and_writes_nothing(
    command: Command, small_folder: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    before = files_under(small_folder)
    done = command("train", str(small_folder), *tiny, "--dry-run", "--json")
    assert done.code == 0, done.stderr
    plan = done.document
    assert plan["dry_run"] is True
    assert plan["training_images"] == len(SEEN) * TRAINED
    assert files_under(small_folder) == before
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("flags", "part"),
    [
        (("--weights", "nowhere.npz"), "there is no weights file nowhere.npz"),
        (("--init-from", "nowhere.pth"), "there is no checkpoint nowhere.pth"),
        (("--set", "method.context=words"), "small has no word vectors of its attributes"),
    ],
)
def test_a_dry_run_is_refused_if_training_would_be(
    command: Command, shared_folder: Path, tiny: tuple[str, ...], tmp_path: Path, flags: tuple[str, str], part: str
) -> None:
    arguments = ("train", str(shared_folder), *tiny, *flags)
    planned, trained = command(*arguments, "--dry-run"), command(*arguments)
    assert (planned.code, planned.stdout) == (3, "")
    assert part in planned.stderr
    assert planned.stderr.splitlines()[:2] == trained.stderr.splitlines()[:2]


def forbid_drawing() -> None:
    """Make any write of the built-in data set an error."""
    from svipctl.datasets import registry

    def refuse(*_: object) -> None:
        raise AssertionError("a dry run draws pictures")

    registry.draw_all = refuse


def test_dry_run_of_the_built_in_data_set_does_not_draw_it(command: Command, tmp_path: Path) -> None:
    done = command("train", "toybirds", "--gpu", "cpu", "--dry-run", first=forbid_drawing)
    assert done.code == 0, done.stderr
    assert not (tmp_path / "data").exists()


def run_removed_in_the_middle() -> None:
    """In the forked process: remove the run at its third update."""
    import shutil

    from svipctl.training.optimisation import Optimisation

    original, count = Optimisation.apply, [0]

    def apply(self: Optimisation, *arguments: Any) -> Any:
        count[0] += 1
        if count[0] == 3:
            shutil.rmtree("runs/small/gone")
        return original(self, *arguments)

    Optimisation.apply = apply  # type: ignore[method-assign]


def test_a_run_that_is_removed_while_it_trains_is_an_error_and_can_be_started_again(
    command: Command, shared_folder: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    words = ("train", str(shared_folder), *tiny, "--name", "gone")
    removed = command(*words, first=run_removed_in_the_middle)
    assert removed.code == 3, removed.stderr
    assert "was removed or replaced while this command wrote to it" in removed.stderr
    assert not (tmp_path / "runs" / "small" / "gone").exists()
    again = command(*words)
    assert again.code == 0, again.stderr
