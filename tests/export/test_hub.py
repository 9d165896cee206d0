"""A run is published on a Hub and loaded from it, by commit, with nothing but tensors and JSON; offline is respected."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest
import yaml

import svipctl
from svipctl.errors import DataError, NetworkError
from svipctl.inference.hub import address_of, local_checkpoint
from svipctl.runs.run import Run
from tests.conftest import Command
from tests.export.fake_hub import FakeHub, served

NAME = "someone/birds"


def use_hub(address: str, cache: Path, token: str = "hf_test") -> None:
    """Let this process use the Hub at an address, with a cache of its own."""
    os.environ |= {"HF_ENDPOINT": address, "HF_TOKEN": token}
    huggingface_hub.constants.HF_HUB_CACHE = str(cache)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with served() as one:
        monkeypatch.setenv("HF_ENDPOINT", one.address)
        yield one


def fill(hub: FakeHub, run: Path, **files: bytes) -> str:
    """Put the checkpoint of a run into a repository, and return the commit."""
    best = run / "checkpoints" / "best"
    content = {name: (best / name).read_bytes() for name in ("model.safetensors", "metadata.json")}
    hub.repositories.setdefault(NAME, []).append({**content, **files})
    return hub.commit_of(NAME)


@pytest.mark.slow
def test_a_run_is_published_and_evaluated_from_the_hub_as_from_its_folder(
    command: Command, tmp_path: Path, trained_copy: Path, shared_folder: Path, hub: FakeHub
) -> None:
    here = functools.partial(use_hub, hub.address, tmp_path / "cache")
    evaluated = command("eval", str(shared_folder), "--json", "--gpu", "cpu").document
    options = ("--format", "safetensors", "--images", "2", "--push", NAME, "--licence", "cc-by-4.0")
    done = command("export", str(shared_folder), *options, "--json", first=here)
    assert done.code == 0, done.stderr
    assert done.document["published"] == f"hf://{NAME}@{hub.commit_of(NAME)}"
    assert hub.private == {NAME}
    (files,) = hub.repositories[NAME]
    assert {"model.safetensors", "metadata.json", "README.md", "export/model.safetensors"} <= set(files)

    _, head, card = files["README.md"].decode().split("---\n", 2)
    about = yaml.safe_load(head)
    assert (about["license"], about["library_name"]) == ("cc-by-4.0", "svipctl")
    figures = {one["name"]: one["value"] for one in about["model-index"][0]["results"][0]["metrics"]}
    assert figures["T1 (zsl)"] == pytest.approx(evaluated["protocols"]["zsl"]["T1"], abs=0.01)
    assert f'svipctl.load("hf://{NAME}")' in card

    from_hub = command("eval", str(shared_folder), "--checkpoint", f"hf://{NAME}", "--json", "--gpu", "cpu", first=here)
    assert from_hub.code == 0, from_hub.stderr
    assert from_hub.document["protocols"]["zsl"] == evaluated["protocols"]["zsl"]
    assert from_hub.document["checkpoint"]["file"] == f"hf://{NAME}@{hub.commit_of(NAME)[:8]}"


def test_a_model_is_loaded_at_its_revision_and_again_from_the_cache(
    trained: Path, shared_folder: Path, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = fill(hub, trained)
    fill(hub, trained, **{"README.md": b"newer", "code.py": b"raise SystemExit"})
    model = svipctl.load(f"hf://{NAME}@{first}", dataset=str(shared_folder), device="cpu")
    image = next((shared_folder / "images").rglob("*.png"))
    expected = svipctl.load(trained, device="cpu").predict([image]).attributes
    np.testing.assert_array_equal(model.predict([image]).attributes, expected)
    newest = local_checkpoint(f"hf://{NAME}")
    assert address_of(newest) == f"hf://{NAME}@{hub.commit_of(NAME)[:8]}"
    assert sorted(path.name for path in newest.iterdir()) == ["metadata.json", "model.safetensors"]
    hub.requests.clear()
    monkeypatch.setenv("SVIPCTL_OFFLINE", "1")
    assert local_checkpoint(f"hf://{NAME}") == newest
    assert hub.requests == []


@pytest.mark.parametrize(
    ("address", "error", "said"),
    [
        (f"hf://{NAME}@v9", DataError, "with revision v9"),
        ("hf://someone/else", DataError, "no repository someone/else"),
        ("hf://nobody", DataError, "not an address of the Hub"),
        ("hf://someone/empty", DataError, "no checkpoint of svipctl"),
    ],
)
def test_what_the_hub_does_not_have_is_said(
    trained: Path, hub: FakeHub, address: str, error: type[Exception], said: str
) -> None:
    fill(hub, trained)
    hub.repositories["someone/empty"] = [{"README.md": b"nothing"}]
    with pytest.raises(error, match=said):
        local_checkpoint(address)


def test_offline_nothing_is_asked_for(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SVIPCTL_OFFLINE", "1")
    with pytest.raises(NetworkError, match="not in the cache") as caught:
        svipctl.load(f"hf://{NAME}")
    assert "--offline" in caught.value.why
    assert hub.requests == []


def test_a_hub_that_is_not_there_is_a_network_error(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(NetworkError, match="cannot be downloaded"):
        local_checkpoint(f"hf://{NAME}")


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--push", "birds", "--licence", "mit"), 2, "OWNER/NAME"),
        (("--push", NAME), 2, "--licence"),
    ],
)
def test_a_push_that_cannot_be_is_refused_before_the_export(
    command: Command, trained_copy: Path, shared_folder: Path, options: tuple[str, ...], code: int, said: str
) -> None:
    done = command("export", str(shared_folder), *options)
    assert (done.code, said in done.stderr) == (code, True)
    assert not (Run(trained_copy).folder / "export").exists()


@pytest.mark.slow
def test_without_a_token_the_export_stays_and_the_refusal_says_how_to_log_in(
    command: Command, tmp_path: Path, trained_copy: Path, shared_folder: Path, hub: FakeHub
) -> None:
    options = ("--format", "safetensors", "--images", "2", "--push", NAME, "--licence", "mit")
    here = functools.partial(use_hub, hub.address, tmp_path / "cache", token="")
    done = command("export", str(shared_folder), *options, first=here)
    assert done.code == 3
    assert "hf auth login" in done.stderr
    assert list((trained_copy / "export").rglob("model.safetensors"))
