"""Test that a checkpoint is complete or missing, and that damage is reported."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from svipctl.errors import DataError, ReadError, ResourceError
from svipctl.files import atomic_write_text, resolve_folder
from svipctl.inference.checkpoint import METADATA, read_checkpoint, read_metadata, save_checkpoint
from svipctl.inference.load import load_checkpoint
from svipctl.model.recipe import Recipe
from svipctl.model.svip import SVIP
from svipctl.runs.manifest import WEIGHTS
from tests.faults import disk_fault, full_from
from tests.inference.models import metadata
from tests.model.tiny import images, scramble, svip
from tests.runs.made import rewrite


@pytest.fixture
def model() -> SVIP:
    return svip(Recipe(keep=2))


@pytest.fixture
def folder(tmp_path: Path, model: SVIP) -> Path:
    path = tmp_path / "checkpoints" / "last"
    save_checkpoint(path, model, metadata(model))
    return path


@pytest.mark.parametrize("context", ["words", "free", "none"])
def test_a_saved_model_loads_bit_identical(tmp_path: Path, context: str) -> None:
    model = svip(Recipe(keep=2, context=context)).train()
    save_checkpoint(tmp_path / "best", model, metadata(model, epoch=7))
    loaded = load_checkpoint(tmp_path / "best")
    network, state = loaded.network, loaded.network.state_dict()
    assert state.keys() == model.state_dict().keys()
    assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())
    assert not network.training
    assert torch.equal(network(images()), model.eval()(images()))
    assert replace(loaded.metadata, sha256="", format=1) == metadata(model, epoch=7)


def test_saving_again_replaces_the_previous_one_and_leaves_no_other_folder(folder: Path, model: SVIP) -> None:
    scramble(model, 8)
    save_checkpoint(folder, model, metadata(model, epoch=2), extra=lambda path: (path / "more").write_text("x"))
    state, read = read_checkpoint(folder)
    assert read.epoch == 2
    assert torch.equal(state["attribute_head.weight"], model.attribute_head.weight)
    assert (folder / "more").read_text() == "x"
    assert [path.name for path in folder.parent.iterdir()] == ["last"]


@pytest.mark.parametrize("position", [0, 500, -1])
def test_one_corrupted_byte_is_detected(folder: Path, position: int) -> None:
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[position] ^= 1
    (folder / WEIGHTS).write_bytes(content)
    with pytest.raises(DataError, match="damaged") as caught:
        load_checkpoint(folder)
    assert "SHA-256" in caught.value.why


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_in_place_of_the_weights_is_never_loaded(folder: Path, model: SVIP, zipped: bool) -> None:
    torch.save(model.state_dict(), folder / WEIGHTS, _use_new_zipfile_serialization=zipped)
    with pytest.raises(DataError, match="it is a pickle, not safetensors"):
        load_checkpoint(folder)


def test_missing_weights_and_a_missing_checkpoint_are_different_errors(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    with pytest.raises(DataError, match="has no model"):
        load_checkpoint(folder)
    with pytest.raises(DataError, match="there is no checkpoint in"):
        load_checkpoint(folder.with_name("best"))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        *[("", "Invalid JSON"), ("{", "Invalid JSON"), ("[]", "an object"), ("\0", "Invalid JSON")],
        *[('{"version": "0"}', "dataset: "), ('{"nonsense": 1}', "version: ")],
    ],
)
@pytest.mark.parametrize("is_recorded", [True, False], ids=["in the manifest", "after the manifest"])
def test_damaged_metadata_is_a_data_error(folder: Path, text: str, why: str, is_recorded: bool) -> None:
    rewrite(folder / METADATA, text) if is_recorded else (folder / METADATA).write_text(text)
    with pytest.raises(DataError, match=f"{METADATA} is damaged") as caught:
        load_checkpoint(folder)
    assert (why if is_recorded else "recorded in manifest.json") in caught.value.why


@pytest.mark.parametrize("gamma", [[1], "abc", None, True, 10**400])
def test_a_metric_of_a_checkpoint_that_is_not_a_number_is_damage(folder: Path, gamma: object) -> None:
    found = json.loads((folder / METADATA).read_text())
    rewrite(folder / METADATA, json.dumps({**found, "metrics": {"monitor": "fold-1", "gamma": gamma}}))
    with pytest.raises(DataError, match=f"{METADATA} is damaged") as caught:
        read_metadata(folder)
    assert "gamma is not a number" in caught.value.why


def test_a_checkpoint_that_the_system_cannot_read_is_not_called_damaged(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(ReadError) as caught:
        load_checkpoint(folder)
    assert "damaged" not in str(caught.value)


@pytest.mark.parametrize("moment", range(1, 5), ids=["weights", "metadata", "extra", "folder"])
def test_full_disk_leaves_the_previous_checkpoint_and_no_other_folder(folder: Path, model: SVIP, moment: int) -> None:
    before = model.attribute_head.weight.detach().clone()
    scramble(model, 9)
    with disk_fault(full_from(moment), "fsync"), pytest.raises(ResourceError, match="no space left while writing"):
        save_checkpoint(folder, model, metadata(model, epoch=2), extra=lambda new: atomic_write_text(new / "a", "a"))
    state, read = read_checkpoint(folder)
    assert read.epoch == 1
    assert torch.equal(state["attribute_head.weight"], before)
    assert [path.name for path in folder.parent.iterdir()] == ["last"]


def test_after_a_kill_between_the_two_renames_the_previous_one_is_found_and_saving_recovers(
    folder: Path, model: SVIP, monkeypatch: pytest.MonkeyPatch
) -> None:
    renames: list[Path] = []
    rename = Path.rename

    def killed(self: Path, target: Path) -> Path:
        renames.append(self)
        if len(renames) == 2:
            raise KeyboardInterrupt
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            save_checkpoint(folder, model, metadata(model, epoch=2))
    assert not folder.exists()
    assert resolve_folder(folder) == folder.with_name(".last.old")
    assert load_checkpoint(folder).metadata.epoch == read_metadata(folder).epoch == 1
    save_checkpoint(folder, model, metadata(model, epoch=3))
    assert resolve_folder(folder) == folder
    assert load_checkpoint(folder).metadata.epoch == 3
    assert [path.name for path in folder.parent.iterdir()] == ["last"]
