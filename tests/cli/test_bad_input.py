"""Test that bad input ends with its exit code, a message that names it, an empty stdout and no partial file."""

from __future__ import annotations

import functools
import json
import pickle
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from svipctl.datasets.fetch.steps import plan_fetch
from svipctl.errors import ConfigError
from svipctl.inference.checkpoint import read_checkpoint
from tests.conftest import Command, write_rows
from tests.faults import fill_disk, limit_files
from tests.processes import Finished, files_under, fresh

_NOTES = re.compile(r"(using run .*\n|(warning: )?gamma .*\n|loading .*\n)*")
"""Notes of the run and the gamma that are used, and the first line of a training."""


def assert_refused(done: Finished, code: int, *parts: str) -> None:
    """Check exit code, empty stdout, no traceback, and every part of the message, which only such notes may precede."""
    assert (done.code, done.stdout) == (code, ""), done.stderr
    assert _NOTES.sub("", done.stderr, count=1).startswith("error: ")
    assert "Traceback" not in done.stderr
    assert "unexpected" not in done.stderr
    assert [part for part in parts if part not in done.stderr] == []


def test_an_unknown_data_set_is_a_usage_error_naming_the_nearest(
    command: Command, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    assert_refused(command("train", "toybird", *tiny), 2, "no data set 'toybird'", "did you mean 'toybirds'")
    assert not (tmp_path / "runs").exists()
    assert not (tmp_path / "data").exists()


def test_all_configuration_errors_are_reported_at_once_with_the_nearest_key(tmp_path: Path) -> None:
    (tmp_path / "svipctl.toml").write_text("[optim]\nlearning = 1\nlr = -1\n")
    flags = ("--set", "trian.epochs=3", "--set", "train.epochs=many", "--recipe", "papr", "--set", "nothing")
    done = fresh("train", "cub", *flags, cwd=tmp_path, environment={"SVIPCTL_SEED": "-4"})
    assert_refused(
        done,
        2,
        "errors\n",
        "trian.epochs (flag)",
        "did you mean 'train.epochs'",
        "optim.learning (svipctl.toml)",
        "optim.lr (svipctl.toml)",
        "train.epochs (flag)",
        "'many'",
        "no recipe 'papr'",
        "'paper'",
        "--set nothing",
        "seed (environment)",
    )
    assert files_under(tmp_path).keys() == {"svipctl.toml"}


def test_json_errors_are_one_document_on_stdout(tmp_path: Path) -> None:
    done = fresh("train", "cub", "--set", "sed=3", "--json", cwd=tmp_path)
    assert done.code == 2
    assert set(done.document) == {"error"}
    assert set(done.document["error"]) == {"what", "why", "todo", "exit_code"}
    assert done.document["error"]["exit_code"] == 2
    assert "did you mean 'seed'" in done.document["error"]["why"]


def test_a_usage_error_of_the_parser_exits_with_2(tmp_path: Path) -> None:
    done = fresh("train", "cub", "--epochs", "many", cwd=tmp_path)
    assert (done.code, done.stdout) == (2, "")
    assert "svipctl train --help" in done.stderr


@pytest.mark.parametrize("flag", ["--data-dir", "--runs-dir"])
def test_a_file_in_place_of_a_folder_is_a_usage_error(flag: str, command: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert_refused(
        command("train", "toybirds", flag, "file/below"), 2, f"{flag} file/below is not a folder", "file is a file"
    )


@pytest.mark.parametrize(
    "mirror",
    [
        "",
        "not an address",
        "example.org/data",
        "ftp://example.org",
        "http://",
        "http://[::1",
        "http://a b/",
        "https://x:0",
    ],
)
def test_a_mirror_that_is_not_an_address_is_a_usage_error(mirror: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        plan_fetch(["cub"], tmp_path, mirrors=["https://example.org", mirror])
    assert repr(mirror) in refused.value.what
    assert refused.value.why
    assert refused.value.todo.startswith("--mirror https://")


def test_a_missing_source_and_an_empty_one_are_different_errors(command: Command, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert_refused(command("data", "fetch", "cub", "--from", "nowhere"), 3, "there is no nowhere", "next: ")
    assert_refused(command("data", "fetch", "cub", "--from", "empty"), 3, "empty contains nothing of cub", "next: ")
    assert_refused(command("data", "fetch", "cub", "--mirror", "nothing"), 2, "--mirror 'nothing' is not an address")


def test_data_fetch_from_the_folder_of_the_data_set_itself_replaces_nothing(command: Command, tmp_path: Path) -> None:
    mine = tmp_path / "data" / "cub" / "xlsa17" / "data" / "CUB" / "res101.mat"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"with features")
    done = command("data", "fetch", "cub", "--from", "data/cub")
    assert_refused(done, 2, "data/cub is the folder that the files are installed in", "svipctl data status")
    assert mine.read_bytes() == b"with features"


def test_a_plan_names_the_mirror_in_use(command: Command) -> None:
    planned = command("data", "fetch", "cub", "--mirror", "http://127.0.0.1:9/a/", "--dry-run", "--json")
    assert {step["from"] for step in planned.document["steps"]} == {
        "http://127.0.0.1:9/a/CUB_200_2011.tgz",
        "http://127.0.0.1:9/a/xlsa17.zip",
    }


def test_an_empty_name_is_not_a_data_set_and_not_the_working_folder(command: Command) -> None:
    assert_refused(command("train", ""), 2, "no data set ''")
    assert_refused(command("w2v", "build", ""), 2, "no data set ''")


def test_a_folder_without_attributes_is_an_error_that_names_the_file(command: Command, tmp_path: Path) -> None:
    (tmp_path / "birds").mkdir()
    assert_refused(command("w2v", "build", "birds"), 3, "there is no table", "birds/attributes.csv")


def test_a_folder_whose_name_is_not_utf_8_can_be_named(tmp_path: Path) -> None:
    words = ("train", "toybirds", "--dry-run", "--runs-dir", "\udcff")
    done = fresh(*words, cwd=tmp_path, environment={"PYTHONIOENCODING": "utf-8:strict"})
    assert done.code == 0, done.stderr
    assert "run: \\udcff/toybirds/svipctl-seed0" in done.stdout


def test_a_run_of_a_data_folder_whose_name_is_not_utf_8_is_refused_and_leaves_no_run(
    command: Command, small_folder: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    folder = small_folder.rename(tmp_path / "\udcff")
    done = command("train", str(folder), *tiny, "--name", "x")
    assert done.code == 2
    assert "cannot be written into a run\n  it is not UTF-8\n  next: rename" in done.stderr
    assert not (tmp_path / "runs" / "\udcff" / "x").exists()


def test_an_info_file_that_is_not_a_pickle_is_refused(command: Command, tmp_path: Path) -> None:
    for number, content in enumerate((b"", b"s", b"seed = 3\n[train]\nepochs = 2\n", b"\x80\x02}q\x00(0", b"(0")):
        (tmp_path / f"{number}.pth").write_bytes(content)
        done = command("data", "import", f"{number}.pth", "--dataset", "sun")
        assert_refused(done, 3, f"{number}.pth is not a file of plain data")


def change(path: Path, old: str, new: str) -> None:
    """Replace a text that occurs exactly once."""
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def no_attributes(folder: Path) -> None:
    (folder / "images" / "stranger").mkdir()
    shutil.copy(folder / "images" / "seen_a" / "0.png", folder / "images" / "stranger" / "0.png")


def no_name(folder: Path) -> None:
    change(folder / "attributes.csv", "has_bill_color::green", "")


def not_a_number(folder: Path) -> None:
    change(folder / "attributes.csv", "seen_b,0,1,0", "seen_b,0,nan,0")


def empty_split(folder: Path) -> None:
    write_rows(folder / "split.csv", [["image", "split"]])


def both_seen_and_unseen(folder: Path) -> None:
    change(folder / "split.csv", "seen_c/7.png,test_seen", "seen_c/7.png,test_unseen")


DAMAGES: dict[Callable[[Path], None], tuple[str, ...]] = {
    no_attributes: ("images/stranger has no row in attributes.csv (",),
    no_name: ("column 3 has no attribute name",),
    not_a_number: ("seen_b",),
    empty_split: ("there is no train image", "there is no seen test image", "there is no unseen test image"),
    both_seen_and_unseen: ("class 'seen_c' is both seen and unseen",),
}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_data_folder_is_refused_before_a_run_is_created(
    damage: Callable[[Path], None], command: Command, small_folder: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    damage(small_folder)
    assert_refused(command("train", str(small_folder), *tiny), 3, str(small_folder), *DAMAGES[damage])
    assert not (tmp_path / "runs").exists()


def test_an_undecodable_image_ends_training_with_an_error_that_names_it(
    command: Command, small_folder: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    (small_folder / "images" / "seen_d" / "3.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    assert_refused(command("train", str(small_folder), *tiny, "--quiet"), 3, "seen_d/3.png does not decode")
    assert not list((tmp_path / "runs").rglob("model.safetensors"))


def test_a_damaged_checkpoint_is_refused_and_leaves_no_result(
    command: Command, trained_copy: Path, shared_folder: Path
) -> None:
    weights = trained_copy / "checkpoints" / "best" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-5] ^= 1
    weights.write_bytes(content)
    done = command("eval", str(shared_folder), "--gpu", "cpu")
    assert_refused(done, 3, "checkpoints/best is damaged", "its SHA-256 is not the one recorded")
    assert not (trained_copy / "eval").exists()


def test_a_checkpoint_that_is_a_pickle_is_refused(command: Command, trained_copy: Path, shared_folder: Path) -> None:
    (trained_copy / "checkpoints" / "best" / "model.safetensors").write_bytes(pickle.dumps({"a": 1}, protocol=2))
    assert_refused(command("eval", str(shared_folder), "--gpu", "cpu"), 3, "it is a pickle, not safetensors")


class _Trap:
    """A file is written if this is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return open, ("unpickled", "w")


@pytest.mark.parametrize("name", ["trap.safetensors", "trap.pth"])
def test_pickled_weights_are_refused_and_never_executed(
    name: str, command: Command, shared_folder: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    torch.save({"norm.weight": _Trap()}, tmp_path / name)
    done = command("train", str(shared_folder), *tiny, "--weights", name)
    assert_refused(done, 3, name)
    assert not (tmp_path / "unpickled").exists()
    assert not (tmp_path / "runs").exists()


@pytest.mark.skipif(torch.cuda.device_count() > 7, reason="this machine has a GPU 7")
def test_a_missing_gpu_is_a_usage_error(command: Command, shared_folder: Path, tiny: tuple[str, ...]) -> None:
    assert_refused(command("train", str(shared_folder), *tiny, "--gpu", "7"), 2, "there is no GPU 7", "--gpu cpu")


def test_a_file_that_cannot_grow_is_a_resource_error(
    command: Command, shared_folder: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    done = command(
        "train", str(shared_folder), *tiny, "--name", "full", "--quiet", first=functools.partial(limit_files, 8192)
    )
    assert_refused(done, 5, "no space left while writing the checkpoint")
    assert not (tmp_path / "runs" / "small" / "full").exists()


def test_a_full_disk_in_a_later_epoch_leaves_the_earlier_checkpoint(
    command: Command, shared_folder: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    flags = (*tiny, "--epochs", "2", "--name", "full", "--quiet")
    done = command(
        "train", str(shared_folder), *flags, first=functools.partial(fill_disk, "runs", 2, "model.safetensors")
    )
    assert_refused(done, 5, "no space left while writing the checkpoint", "No space left", "--runs-dir")
    checkpoints = tmp_path / "runs" / "small" / "full" / "checkpoints"
    assert not [path.name for path in checkpoints.iterdir() if path.name.startswith(".")]
    assert read_checkpoint(checkpoints / "last")[1].epoch == 1
    assert not (checkpoints.parent / "finished.json").exists()
    assert len((checkpoints.parent / "metrics.jsonl").read_text().splitlines()) == 1


def test_a_name_in_use_leaves_the_existing_run_unchanged(
    command: Command, trained_copy: Path, shared_folder: Path, tiny: tuple[str, ...]
) -> None:
    before = files_under(trained_copy)
    assert_refused(command("train", str(shared_folder), *tiny, "--name", "first"), 2, "already exists")
    assert files_under(trained_copy) == before


def test_contradictory_predictions_are_refused(command: Command, tmp_path: Path) -> None:
    (tmp_path / "mine.npz").write_bytes(b"PK\x03\x04 cut short")
    assert_refused(command("eval", "--predictions", "mine.npz"), 3, "mine.npz is not a .npz file")


def test_the_json_error_of_damaged_data_is_one_document(
    command: Command, small_folder: Path, tiny: tuple[str, ...]
) -> None:
    empty_split(small_folder)
    done = command("train", str(small_folder), *tiny, "--json")
    assert done.code == 3
    assert json.loads(done.stdout)["error"]["exit_code"] == 3


def test_a_missing_data_set_and_a_missing_gpu_are_reported_together(command: Command) -> None:
    done = command("train", "cub", "--gpu", "77")
    assert_refused(done, 2, "there is no GPU 77", "cub is not in data", "svipctl data fetch cub")


def test_without_data_and_runs_the_error_begins_with_the_download(command: Command) -> None:
    assert_refused(command("eval", "sun"), 3, "svipctl data fetch sun, then train one: svipctl train sun")


@pytest.mark.parametrize(
    "words", [("doctor", "small"), ("eval", "small", "a\nb"), ("config", "show", "cub", "sun", "x")]
)
def test_too_many_arguments_are_a_usage_error(words: tuple[str, ...], tmp_path: Path) -> None:
    assert_refused(fresh(*words, cwd=tmp_path), 2, "error: too many arguments: ", "--help")
