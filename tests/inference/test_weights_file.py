"""Test trained networks from files: published ones compute what the published code does, and misfits are listed."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from svipctl.errors import DataError
from svipctl.inference.checkpoint import save_checkpoint
from svipctl.inference.load import notes_on
from svipctl.inference.weights_file import published_name, put_into, read_trained
from svipctl.model.recipe import Recipe
from svipctl.model.svip import SVIP
from tests.inference.models import metadata
from tests.inference.published_files import published, published_document, save_published
from tests.marks import first_fast
from tests.model.tiny import images, svip, vit
from tests.reference.traces import ModelTrace, model_traces

TRACES = {trace.config["dataset"]: trace for trace in model_traces()}


@pytest.mark.parametrize("dataset", first_fast(TRACES))
def test_a_published_file_predicts_the_attributes_of_the_trace(dataset: str, tmp_path: Path) -> None:
    trace: ModelTrace = TRACES[dataset]
    shapes = {published_name(name): value.shape for name, value in trace.model(trace.recipe()).named_parameters()}
    path = save_published(
        tmp_path / "c.pth", {name: trace.artificial_tensor(name, *shape) for name, shape in shapes.items()}
    )
    words = trace.artificial_tensor("w2v", trace.config["attributes"], 300)
    model = SVIP(trace.backbone(), trace.config["attributes"], trace.recipe(), word_vectors=words).double().eval()
    put_into(model, read_trained(path))
    with torch.no_grad():
        found = model(trace.batch(0)[0]).numpy()
    np.testing.assert_allclose(found, trace.arrays["inference_attributes"], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("kind", ["dict", "bare", "safetensors", "legacy"])
def test_every_form_of_the_file_gives_the_same_network(kind: str, tmp_path: Path) -> None:
    model = svip(Recipe(keep=2))
    path = tmp_path / ("c.safetensors" if kind == "safetensors" else "c.pth")
    if kind == "safetensors":
        save_file(published(model), path)
    elif kind == "bare":
        torch.save(published(model), path)
    else:
        torch.save(published_document(published(model)), path, _use_new_zipfile_serialization=kind == "dict")
    weights = read_trained(path)
    assert (weights.published, weights.metadata) == (True, None)
    assert weights.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (weights.epoch, weights.ignored) == (
        (14, ("head.bias", "head.weight")) if kind in ("dict", "legacy") else (0, ())
    )
    other = SVIP(vit(), 5, Recipe(keep=2), word_vectors=torch.randn(5, 7), hidden=8)
    words = other.context.word_vectors.clone()
    put_into(other, weights)
    mine, theirs = model.state_dict(), other.state_dict()
    assert torch.equal(theirs.pop("context.word_vectors"), words), "word vectors are the data set's"
    assert all(torch.equal(tensor, mine[name]) for name, tensor in theirs.items())


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.module."])
@pytest.mark.parametrize("key", ["network", "model", "state_dict"])
def test_weights_in_a_wrapper_or_of_a_wrapped_network_are_unwrapped(key: str, prefix: str, tmp_path: Path) -> None:
    model = svip(Recipe(keep=2))
    torch.save({key: {prefix + name: tensor for name, tensor in published(model).items()}}, tmp_path / "c.pth")
    weights = read_trained(tmp_path / "c.pth")
    put_into(svip(Recipe(keep=2)), weights)
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in weights.state.items())
    is_as_published = key == "network" and not prefix
    assert notes_on(replace(weights, ignored=())) == (
        [] if is_as_published else [f"c.pth: the weights are {weights.unwrapped}"]
    )


def test_every_tensor_that_does_not_fit_is_listed_by_its_published_name(tmp_path: Path) -> None:
    model = svip(Recipe(keep=2))
    network = published(model)
    del network["head_1.bias"], network["blocks.1.norm1.weight"]
    network["blocks.7.norm1.weight"] = torch.zeros(16)
    network["p2t.weight"] = torch.zeros(4, 9)
    network["v2p.bias"] = torch.full_like(network["v2p.bias"], torch.nan)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(DataError, match="does not fit the network: 5 problems") as caught:
        put_into(model, read_trained(save_published(tmp_path / "c.pth", network)))
    assert set(caught.value.why.splitlines()) == {
        "- missing: head_1.bias",
        "- missing: blocks.1.norm1.weight",
        "- unexpected: blocks.7.norm1.weight",
        "- shape of p2t.weight: (4, 9) in the file, (4, 5) in the network",
        "- not finite: v2p.bias",
    }
    assert "width 16, depth 3, patch 8, 17 positions" in caught.value.todo
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


class Harmful:
    """Would create a folder if it were unpickled without restrictions."""

    def __reduce__(self) -> Any:
        return (os.mkdir, ("harm",))


@pytest.mark.parametrize("place", ["args", "network", "optimizer", "best_accs"])
def test_a_harmful_file_is_refused_and_not_executed(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = save_published(tmp_path / "c.pth", {}, **{place: {"x": Harmful()}})
    with pytest.raises(DataError, match="not a file of plain data") as caught:
        read_trained(path)
    assert "posix" in caught.value.why
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.filterwarnings("ignore:Validating sparse tensor")
@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"epoch": 1, "args": None}, "the published code has a dict with `network`|not dense tensors: epoch, args"),
        ([1, 2], "it contains a list"),
        ({}, "an empty dict"),
        ({"network": {"a": 1, "b": torch.zeros(2)}}, "not dense tensors: a"),
        ({"network": {1: torch.zeros(2)}}, "not dense tensors: 1"),
        ({"network": {"a": torch.zeros(2).to_sparse()}}, "not dense tensors: a"),
    ],
)
def test_an_unrelated_torch_file_is_refused(document: Any, said: str, tmp_path: Path) -> None:
    torch.save(document, tmp_path / "c.pth")
    with pytest.raises(DataError, match=said):
        read_trained(tmp_path / "c.pth")


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04", b"\x80\x02"])
@pytest.mark.parametrize("name", ["c.pth", "c.safetensors"])
def test_a_damaged_file_is_an_error(content: bytes, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=name):
        read_trained(tmp_path / name)


def test_a_truncated_file_is_an_error(tmp_path: Path) -> None:
    path = save_published(tmp_path / "c.pth", published(svip(Recipe(keep=2))))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match="not a file of plain data"):
        read_trained(path)
    with pytest.raises(DataError, match="there is no checkpoint"):
        read_trained(tmp_path / "gone.pth")


@pytest.mark.parametrize("asked", ["checkpoints/best", "checkpoints/best/model.safetensors", "."])
def test_a_checkpoint_is_found_by_run_folder_and_file(asked: str, tmp_path: Path) -> None:
    model = svip(Recipe(keep=2))
    save_checkpoint(tmp_path / "checkpoints" / "best", model, metadata(model))
    weights = read_trained(tmp_path / asked)
    assert weights.metadata is not None
    assert not weights.published
    assert weights.name == f"{tmp_path.name}/checkpoints/best"
    again = svip(Recipe(keep=2))
    for parameter in again.parameters():
        torch.nn.init.zeros_(parameter)
    put_into(again, weights)
    with torch.no_grad():
        assert torch.equal(again(images()), model(images()))
