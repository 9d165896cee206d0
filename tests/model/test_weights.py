"""Test pretrained weights from files and from timm."""

from __future__ import annotations

import hashlib
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from timm.models.vision_transformer import VisionTransformer

from svipctl.errors import ConfigError, DataError, NetworkError
from svipctl.model import weights
from svipctl.model.state_dicts import OF_BACKBONES, OF_WRAPPING_MODULES, WRAPPERS
from svipctl.model.weights import load_backbone, misfits, read_weights, tensors_sha256
from tests.model.tiny import ARGUMENTS, NAME, vit


class Harmful:
    """Any object but a tensor."""


@pytest.fixture
def network() -> VisionTransformer:
    return vit()


def store(path: Path, state: dict[str, Any]) -> Path:
    save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)
    return path


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pt"])
def test_state_dict_file_loads_without_its_classifier(tmp_path: Path, network: VisionTransformer, suffix: str) -> None:
    heads = {"head.weight": torch.zeros(2, 16), "fc.bias": torch.zeros(2)}
    path = store(tmp_path / f"weights{suffix}", network.state_dict() | heads)
    loaded, source = load_backbone(NAME, ARGUMENTS, str(path))
    assert all(torch.equal(loaded.state_dict()[name], tensor) for name, tensor in network.state_dict().items())
    assert source == {"source": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def test_no_weights_are_recorded_as_none() -> None:
    assert load_backbone(NAME, ARGUMENTS, "none")[1] == {"source": "none", "sha256": ""}


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_missing_file_is_named(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(DataError, match=f"there is no weights file .*gone{suffix}"):
        read_weights(tmp_path / f"gone{suffix}")


def test_pickled_object_is_refused(tmp_path: Path) -> None:
    torch.save(Harmful(), tmp_path / "model.pth")
    with pytest.raises(DataError, match="is not a file of plain data"):
        read_weights(tmp_path / "model.pth")


@pytest.mark.parametrize(
    "content",
    [[1, 2], torch.zeros(2), {"optimizer": {"a": torch.zeros(1)}}, {"state_dict": {"a": "b"}}, {"model": {}}, "text"],
    ids=str,
)
def test_torch_file_without_a_state_dict_is_refused(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "model.pth")
    with pytest.raises(DataError, match="holds no state dict of tensors") as caught:
        load_backbone(NAME, ARGUMENTS, str(tmp_path / "model.pth"))
    assert caught.value.why.startswith("it contains: ")


def in_a_document(state: dict[str, Any], *keys: str) -> dict[str, Any]:
    """Return the state dict as a training program saves it, with its optimizer and arguments."""
    for key in reversed(keys):
        state = {"epoch": 3, "optimizer": {"lr": 0.1}, "args": Namespace(seed=1), key: state}
    return state


@pytest.mark.parametrize("keys", [(), *((key,) for key in WRAPPERS), ("model", "state_dict")], ids=".".join)
def test_wrapped_weights_are_unwrapped_with_a_note(
    tmp_path: Path, network: VisionTransformer, keys: tuple[str, ...]
) -> None:
    path, remarks = store(tmp_path / "w.pth", in_a_document(network.state_dict(), *keys)), list[str]()
    loaded, source = load_backbone(NAME, ARGUMENTS, str(path), remarks.append)
    assert tensors_sha256(loaded) == tensors_sha256(network)
    assert source["source"] == "w.pth"
    taken = ", ".join(f"taken from {key!r}" for key in keys)
    assert remarks == ([f"w.pth: the weights are {taken}"] if keys else [])


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("prefix", [*OF_BACKBONES, "module.backbone.", "_orig_mod.module.", "module.model.encoder."])
def test_a_prefix_of_all_names_is_removed_with_a_note(
    tmp_path: Path, network: VisionTransformer, prefix: str, suffix: str
) -> None:
    state = {prefix + name: tensor for name, tensor in network.state_dict().items()}
    state["head.weight"] = torch.zeros(2, 16)  # a projection head, as DINO saves it
    if prefix.startswith(OF_WRAPPING_MODULES):
        state[prefix.split(".")[0] + ".head.weight"] = state.pop("head.weight")
    path, remarks = store(tmp_path / f"w{suffix}", state), list[str]()
    loaded, _ = load_backbone(NAME, ARGUMENTS, str(path), remarks.append)
    assert tensors_sha256(loaded) == tensors_sha256(network)
    assert len(remarks) == 1
    assert remarks[0].count("without '") == prefix.count(".")


def test_a_prefix_of_only_some_names_is_a_misfit(tmp_path: Path, network: VisionTransformer) -> None:
    first, *others = network.state_dict().items()
    state = {f"module.{first[0]}": first[1], **dict(others)}
    with pytest.raises(DataError, match="does not fit the backbone"):
        load_backbone(NAME, ARGUMENTS, str(store(tmp_path / "w.pth", state)))


@pytest.mark.parametrize("zipped", [True, False])
def test_torch_file_named_safetensors_is_recognised(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "model.safetensors"
    torch.save({"a": torch.zeros(1)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(DataError, match="does not load") as caught:
        read_weights(path)
    assert caught.value.why == "it is a pickle, not safetensors"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.safetensors", b"nonsense"),
        ("a.safetensors", b""),
        ("a.pth", b"\x80\x02"),
        ("a.pth", b""),
        ("a.pth", b"text"),
    ],
)
def test_damaged_file_is_a_data_error_with_a_reason(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_weights(tmp_path / name)
    assert caught.value.why


def test_tensors_that_do_not_fit_are_listed_by_kind(tmp_path: Path, network: VisionTransformer) -> None:
    state = network.state_dict() | {"extra": torch.zeros(1), "cls_token": torch.zeros(1, 1, 8)}
    del state["norm.bias"]
    with pytest.raises(DataError, match="does not fit the backbone") as caught:
        load_backbone(NAME, ARGUMENTS, str(store(tmp_path / "w.safetensors", state)))
    assert caught.value.why.splitlines() == [
        "- missing: norm.bias",
        "- unexpected: extra",
        "- shape of cls_token: (1, 1, 8) in the file, (1, 1, 16) in the network",
    ]


@pytest.mark.parametrize(
    "changed",
    [
        lambda tensor: tensor.to(torch.complex64),
        lambda tensor: (127 * tensor).to(torch.int8),
        lambda tensor: tensor > 0,
        lambda tensor: tensor.to_sparse(),
    ],
    ids=["complex", "int8", "bool", "sparse"],
)
def test_tensors_that_are_not_dense_floats_are_misfits(
    network: VisionTransformer, changed: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    state = network.state_dict()
    found = misfits({name: changed(tensor) for name, tensor in state.items()}, state)
    assert len(found) == len(state)
    assert all(line.startswith("type of ") for line in found)
    assert misfits({name: tensor.to(torch.bfloat16) for name, tensor in state.items()}, state) == []


def test_a_long_list_of_misfits_is_cut_and_counted(tmp_path: Path, network: VisionTransformer) -> None:
    path = store(tmp_path / "w.pth", {})
    with pytest.raises(DataError, match="does not fit") as caught:
        load_backbone(NAME, ARGUMENTS, str(path))
    lines = caught.value.why.splitlines()
    assert len(lines) == 11
    assert lines[-1] == f"- and {len(network.state_dict()) - 10} more"


def test_tensor_digest_equals_hashlib_over_names_and_bytes_and_changes_with_each_of_them(
    network: VisionTransformer,
) -> None:
    state = network.state_dict()
    content = b"".join(name.encode() + state[name].numpy().tobytes() for name in sorted(state))
    assert tensors_sha256(network) == hashlib.sha256(content).hexdigest()
    before = tensors_sha256(network)
    with torch.no_grad():
        network.norm.bias[0] += 1
    assert tensors_sha256(network) != before


def test_timms_weights_are_named_and_hashed(monkeypatch: pytest.MonkeyPatch, network: VisionTransformer) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(weights, "create_backbone", lambda *a, **options: asked.append(options) or network)
    loaded, source = load_backbone(NAME, ARGUMENTS, "pretrained")
    assert loaded is network
    assert asked == [{"pretrained": True}]
    assert source == {"source": f"timm:{NAME}", "sha256": tensors_sha256(network)}


@pytest.mark.parametrize(
    ("text", "why"), [("offline\nmore", "RuntimeError: offline"), ("", "RuntimeError: no details")]
)
def test_failed_download_is_a_network_error(monkeypatch: pytest.MonkeyPatch, text: str, why: str) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError(text)

    monkeypatch.setattr(weights, "create_backbone", refuse)
    with pytest.raises(NetworkError, match="not in the cache and cannot be downloaded") as caught:
        load_backbone(NAME, ARGUMENTS, "pretrained")
    assert caught.value.why == why


def test_misspelt_name_is_still_a_configuration_error_when_pretrained_weights_are_requested() -> None:
    with pytest.raises(ConfigError, match="no backbone named 'vit_bse'"):
        load_backbone("vit_bse", {}, "pretrained")
