"""Test that --dry-run refuses what the command itself refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.cli.test_schemas import follows
from tests.conftest import NETWORK, Command, of_every_recipe
from tests.model.test_jax_weights import as_jax
from tests.model.tiny import vit
from tests.runs.made import rewrite

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("train DATA --set model.window=3", "windows of side 3 do not tile"),
        ("train DATA --gpu 7", "no GPU 7"),
        ("train DATA --gpu cpu,7", "'cpu' is not the index of a GPU"),
        ("eval DATA --gpu cpu,7", "'cpu' is not the index of a GPU"),
        ("reproduce DATA --gpu cpu,7", "'cpu' is not the index of a GPU"),
        ("eval toybirds --checkpoint gone.pth", "gone.pth"),
        ("train DATA --weights pretrained --offline", "downloads are disabled (--offline)"),
        ("train cub", "cub is not in data"),
        ("train DATA --set model.stem=frozen", "no convolutional stem"),
        ("train DATA --set method.selection=object", "neither masks nor boxes"),
        ("train DATA --set method.selection=object --set data.augment=crop-and-flip", "does not support random crops"),
        ("train DATA --init-from runs/small/first --set model.window=4", "does not fit the network"),
        ("train DATA --init-from runs/small/first --set train.fold=1", "was trained on 2 of the 2 classes"),
        ("train DATA --weights runs/small/first/checkpoints/best/model.safetensors", "does not fit the backbone"),
        ("train DATA --weights runs/small/first/config.toml", "is not a file of plain data"),
        (f"train DATA --set {NETWORK.replace('32', '[32,64]')}", "takes images of 32 x 64 pixels"),
        ("baseline DATA --fold 4", "has no fold 4"),
        ("baseline cub", "cub is not in data"),
        ("baseline DATA --weights gone.pth", "there is no weights file gone.pth"),
        ("baseline DATA --features gone.npz", "there is no feature file gone.npz"),
        ("embed DATA -o x.csv", "x.csv is not a file name for features"),
        ("embed DATA -o x.npz --gpu 7", "no GPU 7"),
        (
            "embed DATA -o x.npz --weights pretrained --offline --backbone vit_small",
            "downloads are disabled (--offline)",
        ),
        ("visualize embedding DATA --class nope", "no class 'nope'"),
        ("visualize patches DATA --gpu 7", "no GPU 7"),
        ("visualize curves DATA --gpu 7", "no GPU 7"),
        ("reproduce DATA --gpu 7", "no GPU 7"),
        ("eval DATA --gpu 7", "no GPU 7"),
        ("eval DATA --run nobody", "no run 'nobody'"),
        ("eval DATA --checkpoint gone.pth", "gone.pth"),
        ("eval --predictions x.npz", "omit --dry-run"),
        ("data pack DATA --verify", "omit --dry-run"),
    ],
)
def test_a_dry_run_refuses_what_the_run_refuses(
    words: str, said: str, shared_folder: Path, trained_copy: Path, tiny: tuple[str, ...], command: Command
) -> None:
    training = tiny if words.startswith("train DATA") else ()
    command_name, *rest = words.replace("DATA", str(shared_folder)).split()
    done = command(command_name, *training, *rest, "--dry-run")
    assert done.code in (2, 3, 4)
    assert said in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("name", ["one.npz", "one.pth", "one.safetensors", "runs/small/first"])
def test_a_dry_run_accepts_weights_that_fit(
    name: str, shared_folder: Path, trained_copy: Path, tiny: tuple[str, ...], command: Command, tmp_path: Path
) -> None:
    if "one" in name:
        backbone = vit()
        np.savez(tmp_path / "one.npz", **as_jax(backbone))  # type: ignore[arg-type]
        torch.save(backbone.state_dict(), tmp_path / "one.pth")
        save_file(backbone.state_dict(), tmp_path / "one.safetensors")
    flag = ("--set", NETWORK.replace("depth=1", "depth=2"), "--weights") if "one" in name else ("--init-from",)
    done = command("train", str(shared_folder), *tiny, *flag, name, "--dry-run", "--json")
    assert done.code == 0, done.stderr
    assert done.document["weights"] == name


def test_a_dry_run_of_an_evaluation_names_split_images_and_file_and_writes_nothing(
    shared_folder: Path, trained_copy: Path, command: Command
) -> None:
    done = command("eval", str(shared_folder), "--gpu", "cpu", "--dry-run", "--json")
    assert follows("eval", done.document)
    assert done.document["run"] == "runs/small/first"
    assert done.document["split"] == "test"
    assert done.document["images"] == {"seen": 12, "unseen": 8}
    assert done.document["writes"] == "runs/small/first/eval/metrics.json"
    assert not (trained_copy / "eval").exists()


def test_a_dry_run_of_an_evaluation_refuses_a_run_that_trained_on_test_images(
    shared_folder: Path, trained_copy: Path, command: Command
) -> None:
    rewrite(trained_copy / "training_images.txt", "images/unseen_x/0.png\n")
    done = command("eval", str(shared_folder), "--gpu", "cpu", "--dry-run")
    assert done.code == 3
    assert "trained on 1 of the 20 images" in done.stderr


def test_a_dry_run_of_an_evaluation_takes_a_checkpoint(
    shared_folder: Path, trained_copy: Path, command: Command
) -> None:
    checkpoint = str(trained_copy / "checkpoints" / "best")
    done = command("eval", str(shared_folder), "--checkpoint", checkpoint, "--gpu", "cpu", "--dry-run", "--json")
    assert follows("eval", done.document)
    assert (done.document["run"], done.document["checkpoint"], done.document["writes"]) == (None, checkpoint, None)


def test_a_dry_run_of_an_evaluation_does_not_draw_toybirds(
    trained_copy: Path, tmp_path: Path, command: Command
) -> None:
    done = command(
        *("eval", "toybirds", "--run", str(trained_copy), "--gpu", "cpu", "--data-dir", "empty", "--dry-run", "--json")
    )
    assert follows("eval", done.document)
    assert done.document["pictures_to_draw"] > 0
    assert done.document["images"] is None
    assert not (tmp_path / "empty").exists()


def test_a_dry_run_of_training_counts_the_disk_space_of_a_run_and_of_saving(
    shared_folder: Path, tiny: tuple[str, ...], tmp_path: Path, command: Command
) -> None:
    network = "model.backbone_args={img_size=32,patch_size=8,embed_dim=256,depth=4,num_heads=2}"
    words = ("train", str(shared_folder), *tiny, "--set", network, "--json")
    plan = command(*words, "--dry-run").document
    done = command(*words).document
    assert done["run"] == plan["run"]
    files = (tmp_path / plan["run"] / "checkpoints").rglob("*")
    kept = sum(path.stat().st_size for path in files if path.is_file()) / 2**20
    assert kept < plan["disk_mib"] < 2 * kept


def test_a_dry_run_of_a_table_counts_its_trainings(
    shared_folder: Path, tiny: tuple[str, ...], command: Command
) -> None:
    words = (
        "reproduce",
        str(shared_folder),
        *of_every_recipe(tiny),
        "--controls",
        "none",
        "--no-baselines",
        "--dry-run",
        "--json",
    )
    one, three = (command(*words, "--recipes", "svipctl", "--seeds", seeds).document for seeds in ("1", "3"))
    assert one["disk_mib"] / 2 == three["disk_mib"] / 4  # and a development run
