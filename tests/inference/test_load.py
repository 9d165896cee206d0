"""Test loading a trained model from a run, a checkpoint or a published file, with its origin."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from svipctl.datasets.benchmark import Benchmark
from svipctl.datasets.folder import open_folder
from svipctl.device import choose_dtype
from svipctl.errors import ConfigError, DataError
from svipctl.inference.checkpoint import METADATA, save_checkpoint
from svipctl.inference.load import load, load_checkpoint, load_for_evaluation, load_published
from svipctl.inference.network import new_network
from svipctl.inference.trained_model import TrainedModel
from svipctl.inference.weights_file import read_trained
from svipctl.model.recipe import Recipe
from svipctl.runs.run import Run
from svipctl.semantics.matrix import WordMatrix
from svipctl.settings.layers import resolve
from svipctl.settings.schema import Settings
from tests.conftest import ATTRIBUTES
from tests.inference.models import metadata, trained_model
from tests.inference.published_files import published, save_published
from tests.model.tiny import svip
from tests.runs.made import rewrite, rewrite_configuration

CPU = torch.device("cpu")
PROJECT = """
[model]
backbone = "vit_tiny_patch16_224"
backbone_args = { img_size = 32, patch_size = 8, embed_dim = 16, depth = 1, num_heads = 2 }
[method]
keep = 3
"""


@pytest.fixture
def data(small_folder: Path) -> Benchmark:
    """Return the tiny data folder, with word vectors."""
    vectors = torch.randn(len(ATTRIBUTES), 7, generator=torch.Generator().manual_seed(1)).double().numpy()
    WordMatrix(vectors, ATTRIBUTES).save(small_folder / "word_vectors.npz")
    return open_folder(small_folder)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set up the working folder, whose svipctl.toml describes the tiny network."""
    (tmp_path / "svipctl.toml").write_text(PROJECT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def settings_of(data: Benchmark, **flags: Any) -> Settings:
    return resolve(str(data.root), flags={"recipe": "reference", "gpu": "cpu", **flags}).settings


def save_published_of(data: Benchmark, path: Path) -> TrainedModel:
    """Write a file of the published code with random weights, and return its network with the metadata it lacks."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        network = new_network(settings_of(data, **{"method.context": "words"}), data).eval()
    save_published(path, published(network))
    return trained_model(network, mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])


def images_of(data: Benchmark) -> list[Path]:
    return [data.image_path(int(index)) for index in data.test_unseen]


@pytest.mark.parametrize("named", ["the run", "its best checkpoint", "the file"])
def test_a_run_and_its_best_checkpoint_are_the_same_model(named: str, trained_copy: Path) -> None:
    best = trained_copy / "checkpoints" / "best"
    path = {"the run": trained_copy, "its best checkpoint": best, "the file": best / "model.safetensors"}[named]
    model = load(str(path), device="cpu")
    assert model.run == Run(trained_copy)
    assert (model.is_best, model.network.training, model.device) == (True, False, CPU)
    assert model.metadata == load(trained_copy, device="cpu").metadata
    if named == "the run":
        assert model.checkpoint is None
    else:
        assert model.checkpoint == {"file": "first/checkpoints/best", "sha256": model.metadata.sha256}
    state = load(trained_copy, device="cpu").network.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in model.network.state_dict().items())


def test_the_last_checkpoint_of_a_run_is_not_its_best(trained_copy: Path) -> None:
    model = load(trained_copy / "checkpoints" / "last", device="cpu")
    assert (model.run, model.is_best) == (Run(trained_copy), False)


def test_a_checkpoint_outside_its_run_is_a_model_without_a_run(trained_copy: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(trained_copy / "checkpoints" / "best", tmp_path / "elsewhere" / "model")
    model = load(folder, device="cpu")
    assert (model.run, model.is_best) == (None, False)
    assert model.checkpoint == {"file": "model", "sha256": model.metadata.sha256}
    with pytest.raises(ConfigError, match="the folder of the data set small is not known"):
        model.open_dataset()


@pytest.mark.parametrize("trained_in", ["fp32", "bf16"])
def test_precision_is_the_runs_unless_another_is_requested(trained_in: str, trained_copy: Path) -> None:
    text = (trained_copy / "config.toml").read_text()
    assert 'precision = "auto"' in text
    rewrite_configuration(trained_copy, text.replace('precision = "auto"', f'precision = "{trained_in}"'))
    names = {"fp32": torch.float32, "bf16": torch.bfloat16}
    for path in (trained_copy, trained_copy / "checkpoints" / "best"):
        assert load(path, device="cpu").dtype == names[trained_in]
        assert load(path, device="cpu", precision="bf16").dtype == torch.bfloat16
        assert load(path, device="cpu", precision="fp32").dtype == torch.float32


def test_the_folder_of_data_sets_can_differ_from_the_runs(trained_copy: Path, tmp_path: Path) -> None:
    for path in (trained_copy, trained_copy / "checkpoints" / "best"):
        assert load(path, device="cpu").data_dir is None
        assert load(path, device="cpu", data_dir=str(tmp_path)).data_dir == tmp_path


def test_a_run_without_a_network_or_a_checkpoint_is_refused(trained_copy: Path, tmp_path: Path) -> None:
    shutil.rmtree(trained_copy / "checkpoints")
    with pytest.raises(DataError, match="there is no checkpoint in"):
        load(trained_copy, device="cpu")
    (trained_copy / "finished.json").unlink()
    with pytest.raises(DataError, match="first is unfinished"):
        load(trained_copy, device="cpu")
    (trained_copy / "baseline.json").write_text("{}")
    with pytest.raises(ConfigError, match="first is a baseline"):
        load(trained_copy, device="cpu")
    with pytest.raises(DataError, match="there is no checkpoint"):
        load(tmp_path / "nothing", device="cpu")
    with pytest.raises(DataError, match="there is no checkpoint"):
        load(tmp_path / "nothing.pth", dataset="cub", device="cpu")


def test_a_missing_device_is_refused(trained_copy: Path) -> None:
    with pytest.raises(ConfigError, match="there is no GPU 99"):
        load(trained_copy, device="99")


@pytest.mark.parametrize(
    "changed",
    [{"classifier_hidden": 9}, {"method": {"keep": -1}}, {"method": {"nonsense": 1}}, {"backbone_args": {"depth": 1}}],
    ids=["width", "value", "switch", "depth"],
)
def test_weights_that_contradict_the_metadata_are_a_data_error(tmp_path: Path, changed: dict[str, Any]) -> None:
    network = svip(Recipe(keep=2))
    save_checkpoint(tmp_path, network, metadata(network))
    path = tmp_path / METADATA
    rewrite(path, json.dumps(json.loads(path.read_text()) | changed))
    with pytest.raises(DataError, match="does not fit its own description"):
        load_checkpoint(tmp_path)


def test_a_published_file_with_its_data_set_predicts_as_its_network(project: Path, data: Benchmark) -> None:
    expected = save_published_of(data, project / "published.pth")
    model = load(project / "published.pth", dataset=str(data.root), device="cpu")
    assert model.dtype == torch.float32, "that of the recipe"
    assert load(project / "published.pth", dataset=str(data.root), precision="bf16").dtype == torch.bfloat16
    assert np.array_equal(model.predict(images_of(data)).attributes, expected.predict(images_of(data)).attributes)
    assert (model.run, model.is_best, model.gamma.value) == (None, False, 0)
    assert model.checkpoint is not None
    assert model.checkpoint["file"] == "published.pth"
    assert (model.attributes, model.classes) == (data.attributes, data.classes)
    assert model.seen_classes == tuple(data.classes[label] for label in data.seen_classes)
    assert (model.metadata.dataset, model.metadata.recipe, model.metadata.epoch) == ("small", "reference", 14)
    assert model.notes == ("unused in published.pth and ignored: head.bias, head.weight",)
    assert model.own_classes().classes == data.classes


def test_a_published_file_without_its_data_set_is_an_error_that_says_how_to_pass_it(
    project: Path, data: Benchmark
) -> None:
    save_published_of(data, project / "published.pth")
    with pytest.raises(ConfigError, match=r"published\.pth has no classes and attributes") as caught:
        load(project / "published.pth", device="cpu")
    assert caught.value.todo == 'pass its data set, for instance dataset="cub"'


def test_a_published_file_of_another_network_is_refused_with_every_tensor_that_does_not_fit(
    project: Path, data: Benchmark
) -> None:
    save_published_of(data, project / "published.pth")
    (project / "svipctl.toml").write_text(PROJECT.replace("depth = 1", "depth = 2"))
    with pytest.raises(DataError, match="does not fit the network: 12 problems") as caught:
        load(project / "published.pth", dataset=str(data.root), device="cpu")
    assert "- missing: blocks.1.norm1.weight" in caught.value.why


def test_a_published_file_has_word_vectors_whatever_the_preset_says(project: Path, data: Benchmark) -> None:
    expected = save_published_of(data, project / "published.pth")
    free = settings_of(data, **{"method.context": "free"})
    model = load_published(read_trained(project / "published.pth"), data, free, CPU)
    assert model.network.recipe.context == "words"
    assert np.array_equal(model.predict(images_of(data)).attributes, expected.predict(images_of(data)).attributes)


def test_weights_without_a_known_normalisation_need_a_setting(project: Path, data: Benchmark) -> None:
    """Published files use ImageNet's; a svipctl file without metadata may have any."""
    save_published_of(data, project / "published.pth")
    ours = replace(read_trained(project / "published.pth"), published=False)
    open_question = settings_of(data, **{"data.normalise": "weights"})
    with pytest.raises(ConfigError, match="does not record the normalization of its images"):
        load_published(ours, data, open_question, CPU)
    half = settings_of(data, **{"data.normalise": "half"})
    for weights in (ours, read_trained(project / "published.pth")):
        assert load_published(weights, data, half, CPU).metadata.mean == [0.5] * 3
    published_model = load_published(replace(ours, published=True), data, open_question, CPU)
    assert published_model.metadata.mean == [0.485, 0.456, 0.406]


def test_a_command_loads_a_model_in_the_precision_of_its_settings(
    project: Path, trained_copy: Path, data: Benchmark
) -> None:
    save_published_of(data, project / "published.pth")
    settings = settings_of(data, precision="bf16")
    subjects = (Run(trained_copy), trained_copy / "checkpoints" / "best", project / "published.pth")
    run, checkpoint, file = (load_for_evaluation(subject, data, settings, CPU) for subject in subjects)
    assert {model.dtype for model in (run, checkpoint, file)} == {torch.bfloat16}
    assert (run.run, run.checkpoint) == (Run(trained_copy), None)
    assert (checkpoint.run, checkpoint.checkpoint is None) == (Run(trained_copy), False)
    assert (file.run, file.checkpoint is None) == (None, False)
    auto = load_for_evaluation(Run(trained_copy), data, settings_of(data, precision="auto"), CPU)
    assert auto.dtype == choose_dtype("auto", CPU)


def test_a_checkpoint_in_the_folder_of_another_run_is_refused(trained_copy: Path) -> None:
    assert load(trained_copy).metadata.saved_by == Run(trained_copy).identity
    configuration = trained_copy / "config.toml"
    rewrite(configuration, configuration.read_text().replace('name = "first"', 'name = "other"'))
    for path in (trained_copy, trained_copy / "checkpoints" / "best"):
        with pytest.raises(DataError, match="was saved by another run"):
            load(path)
