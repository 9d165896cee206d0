"""Test the Python API: the documented examples run, and its numbers equal those of the command line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import svipctl
from svipctl.errors import ConfigError
from tests.conftest import NETWORK, Command
from tests.processes import fresh

ROOT = Path(__file__).parents[1]
SMALL: dict[str, Any] = {
    "model.backbone": "vit_tiny",
    "model.backbone_args": {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 1, "num_heads": 2},
    "model.weights": "none",
    "method.context": "free",
    "train.epochs": 1,
    "train.batch_size": 9,
    "data.workers": 0,
    "data.normalise": "half",
    "precision": "fp32",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("api")


@pytest.fixture(scope="module")
def run(folder: Path, shared_folder: Path) -> svipctl.TrainingRun:
    return svipctl.train(
        shared_folder, recipe="svipctl", name="one", settings=SMALL, runs_dir=folder / "runs", device="cpu"
    )


@pytest.fixture(scope="module")
def model(run: svipctl.TrainingRun) -> svipctl.TrainedModel:
    return run.load(device="cpu")


@pytest.mark.slow
def test_the_examples_of_the_documentation_run_one_after_another(tmp_path: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/api.md").read_text(), re.M | re.S)
    assert len(blocks) >= 5
    (tmp_path / "examples.py").write_text("\n".join(blocks))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "examples.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert "(4, 20) (4, 16)" in done.stdout
    assert done.stderr == ""


def test_importing_svipctl_imports_nothing_heavy(tmp_path: Path) -> None:
    heavy = ("torch", "timm", "gensim", "scipy", "numpy", "matplotlib", "pandas", "rich", "typer", "pydantic")
    program = f"import sys, svipctl; dir(svipctl); print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_can_be_imported() -> None:
    assert all(getattr(svipctl, name) is not None for name in svipctl.__all__)
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        svipctl.lod  # noqa: B018


def test_evaluate_gives_exactly_the_numbers_of_the_command_line(
    run: svipctl.TrainingRun, model: svipctl.TrainedModel, shared_folder: Path
) -> None:
    evaluation = svipctl.evaluate(model, svipctl.open_dataset(shared_folder), workers=0)
    arguments = ("eval", str(shared_folder), "--run", str(run.folder), "--gpu", "cpu", "--json")
    printed = fresh(*arguments, cwd=run.folder.parent).document
    assert printed["protocols"] == evaluation.rows
    assert printed["classes"] == evaluation.per_class
    assert printed["intervals"] == evaluation.to_dict()["intervals"]


@pytest.mark.slow
def test_the_documented_use_of_answers_for_each_image_gives_t1_of_each_class(
    run: svipctl.TrainingRun, shared_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("eval", str(shared_folder), "--run", str(run.folder), "--gpu", "cpu", "--json")
    classes = fresh(*arguments, cwd=run.folder.parent).document["classes"]
    (block,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/evaluation.md").read_text(), re.M | re.S)
    exec(block.replace("runs/toybirds/svipctl-seed0", str(run.folder)), {})
    printed = dict(re.findall(r"^(unseen_\w+) +([0-9.]+)$", capsys.readouterr().out, re.M))
    expected = {one["class"]: one["accuracy"]["zsl"] for one in classes if not one["seen"]}
    assert {name: 100 * float(value) for name, value in printed.items()} == pytest.approx(expected)


def test_evaluate_accepts_a_run_and_the_name_of_its_data_set(
    run: svipctl.TrainingRun, model: svipctl.TrainedModel, shared_folder: Path
) -> None:
    expected = svipctl.evaluate(model, svipctl.open_dataset(shared_folder), bootstrap=0).rows
    for subject in (run, run.folder, str(run.folder)):
        assert svipctl.evaluate(subject, bootstrap=0).rows == expected
    assert svipctl.evaluate(model, str(shared_folder), bootstrap=0).rows == expected


def test_images_in_every_form_are_classified_as_predict_classifies_them(
    run: svipctl.TrainingRun, model: svipctl.TrainedModel, shared_folder: Path
) -> None:
    pictures = shared_folder / "images" / "unseen_x"
    files = sorted(pictures.iterdir())
    opened = [Image.open(file).convert("RGB") for file in files]
    arguments = ("predict", str(pictures), "--run", str(run.folder), "--gpu", "cpu", "--json")
    printed = [image["answers"] for image in fresh(*arguments, cwd=run.folder.parent).document["images"]]
    expected = [[(answer["class"], answer["score"]) for answer in answers] for answers in printed]
    for images in (files, pictures, str(pictures), opened, [np.asarray(image) for image in opened]):
        found = model.classify(images)
        assert [[(answer.name, answer.score) for answer in one.answers] for one in found] == expected


def test_train_refuses_what_the_command_line_refuses(tmp_path: Path, shared_folder: Path) -> None:
    with pytest.raises(svipctl.SvipError, match="2 errors") as caught:
        svipctl.train(shared_folder, settings={"optim.rl": 1, "train.epochs": 0}, runs_dir=tmp_path)
    assert "optim.lr" in str(caught.value)
    with pytest.raises(svipctl.SvipError, match="names several devices"):
        svipctl.train(shared_folder, device="0,1", runs_dir=tmp_path)


def test_train_gives_the_same_run_as_the_command(
    run: svipctl.TrainingRun, shared_folder: Path, tmp_path: Path, command: Command
) -> None:
    sets = [f"--set={key}={value}" for key, value in SMALL.items() if key != "model.backbone_args"]
    arguments = ("train", str(shared_folder), "--recipe", "svipctl", "--name", "one", "--gpu", "cpu")
    arguments += (f"--set={NETWORK}", *sets)
    assert command(*arguments).code == 0
    other = json.loads((tmp_path / "runs/small/one/checkpoints/best/metadata.json").read_text())
    own = json.loads((run.folder / "checkpoints/best/metadata.json").read_text())
    assert other["sha256"] == own["sha256"]


def test_a_finished_run_is_returned_whatever_its_seed(
    run: svipctl.TrainingRun, shared_folder: Path, tmp_path: Path
) -> None:
    first = svipctl.train(shared_folder, name="five", seed=5, settings=SMALL, runs_dir=tmp_path, device="cpu")
    written = (first.folder / "metrics.jsonl").stat().st_mtime_ns
    again = svipctl.train(shared_folder, name="five", resume="auto", runs_dir=tmp_path, device="cpu")
    assert again.folder == first.folder
    assert (first.folder / "metrics.jsonl").stat().st_mtime_ns == written


def test_a_final_run_refuses_an_epoch_count_that_development_did_not_choose(
    shared_folder: Path, tmp_path: Path
) -> None:
    fold = SMALL | {"train.fold": 1, "train.monitor": "validation"}
    first = svipctl.train(shared_folder, name="fold1", settings=fold, runs_dir=tmp_path, device="cpu")
    with pytest.raises(svipctl.SvipError, match="train.epochs is 7, and development found 1"):
        svipctl.train(
            shared_folder,
            settings=SMALL | {"train.epochs": 7},
            from_development=["fold1"],
            runs_dir=tmp_path,
            device="cpu",
        )
    final = svipctl.train(
        shared_folder, settings=SMALL, from_development=["fold1"], runs_dir=tmp_path, name="final", device="cpu"
    )
    development = final.development()
    assert development is not None
    assert final.load(device="cpu").gamma.value == development.gamma
    for named, resumed in ((first, final), (first.folder, final.folder), ("fold1", "final"), ([first], final)):
        with pytest.raises(svipctl.SvipError, match="final is finished"):
            svipctl.train(
                shared_folder,
                settings=SMALL,
                from_development=named,
                resume=resumed,
                runs_dir=tmp_path,
                device="cpu",
            )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"precision": "fp16"}, "there is no precision 'fp16'"),
        ({"device": "0,1"}, "names several devices"),
        ({"device": "cuda:7"}, "there is no GPU 7"),
        ({"device": "mps"}, "not the index of a GPU"),
    ],
)
def test_load_refuses_invalid_values(run: svipctl.TrainingRun, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(svipctl.SvipError, match=message):
        svipctl.load(run.folder, **arguments)


def test_classify_and_evaluate_refuse_values_out_of_range(model: svipctl.TrainedModel, shared_folder: Path) -> None:
    dataset = svipctl.open_dataset(shared_folder)
    for count in (0, 2.5, "3", None, True, 10**30):
        with pytest.raises(svipctl.SvipError, match=r"(?s)batch_size is .*must be a whole number"):
            model.predict(shared_folder / "images" / "unseen_x", batch_size=count)  # type: ignore[arg-type]
        with pytest.raises(svipctl.SvipError, match=r"(?s)top is .*must be a whole number"):
            model.classify(shared_folder / "images" / "unseen_x", top=count)  # type: ignore[arg-type]
    with pytest.raises(svipctl.SvipError, match="int is not an image"):
        model.classify([3])  # type: ignore[list-item]
    with pytest.raises(svipctl.SvipError, match="gamma is nan"):
        model.classify(shared_folder / "images" / "unseen_x", gamma=float("nan"))
    with pytest.raises(svipctl.SvipError, match=r"eval\.batch_size"):
        svipctl.evaluate(model, dataset, batch_size=0)


def test_the_repr_of_a_model_and_an_evaluation_is_one_line(model: svipctl.TrainedModel, shared_folder: Path) -> None:
    assert repr(model) == "TrainedModel(svipctl on small, epoch 1, 6 attributes, torch.float32 on cpu)"
    evaluation = svipctl.evaluate(model, svipctl.open_dataset(shared_folder), bootstrap=0)
    assert repr(evaluation).startswith("Evaluation(zsl {'T1': ")
    assert "56 images of 8 classes with 6 attributes" in repr(svipctl.open_dataset(shared_folder))
    evaluation.rows["zsl"]["T1"] = -1.0
    assert evaluation.rows["zsl"]["T1"] >= 0
    assert len({model, evaluation}) == 2


def test_nothing_is_printed_without_progress(
    shared_folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    svipctl.train(shared_folder, settings=SMALL, runs_dir=tmp_path, device="cpu")
    assert capfd.readouterr() == ("", "")
    svipctl.train(shared_folder, settings=SMALL, runs_dir=tmp_path, device="cpu", progress=True)
    shown = capfd.readouterr()
    assert shown.out == ""
    assert "epoch 1: loss" in shown.err


def test_calibrate_gives_a_final_run_with_the_gamma_of_all_folds(shared_folder: Path, tmp_path: Path) -> None:
    run = svipctl.train(shared_folder, calibrate=True, settings=SMALL, runs_dir=tmp_path, device="cpu")
    names = [f"{run.name}-fold{fold}" for fold in (1, 2, 3)]
    development = run.development()
    assert development is not None
    assert [one.run for one in development.runs] == names
    assert run.load().gamma.value == development.gamma
    with pytest.raises(ConfigError, match="cannot be combined with from_development"):
        svipctl.train(shared_folder, calibrate=True, resume="auto", runs_dir=tmp_path)


@pytest.mark.parametrize("name", [300 * "x", "nul\0l", "no/such/place"])
def test_names_that_cannot_be_used_are_our_errors(name: str, shared_folder: Path, tmp_path: Path) -> None:
    for call in (
        lambda: svipctl.open_dataset(name),
        lambda: svipctl.load(name),
        lambda: svipctl.train(name, runs_dir=tmp_path),
        lambda: svipctl.train(shared_folder, name=name, runs_dir=tmp_path, settings=SMALL),
    ):
        with pytest.raises(svipctl.SvipError):
            call()


def test_a_gpu_may_be_given_by_its_index(shared_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(svipctl.SvipError, match="no GPU 99"):
        svipctl.train(shared_folder, device=99, runs_dir=tmp_path, settings=SMALL)
