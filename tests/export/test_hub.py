"""Test publishing a run on a Hub and loading it, by commit, with tensors and JSON only; offline is respected."""

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
from svipctl.export.hub import front_matter
from svipctl.inference.hub import address_of, local_checkpoint
from svipctl.runs.run import Run
from tests.conftest import Command
from tests.export.fake_hub import FakeHub, served

NAME = "someone/birds"


def use_hub(address: str, cache: Path, token: str = "hf_test") -> None:
    """Make this process use the Hub at an address, with its own cache."""
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
    content = {name: (best / name).read_bytes() for name in ("model.safetensors", "metadata.json", "manifest.json")}
    hub.repositories.setdefault(NAME, []).append({**content, **files})
    return hub.commit_of(NAME)


@pytest.mark.slow
def test_a_published_run_is_evaluated_from_the_hub_as_from_its_folder(
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
    assert from_hub.document["checkpoint"]["file"] == f"hf://{NAME}@{hub.commit_of(NAME)}"


def test_a_model_is_loaded_at_its_revision_and_again_from_the_cache(
    trained: Path, shared_folder: Path, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = fill(hub, trained)
    fill(hub, trained, **{"README.md": b"newer", "code.py": b"raise SystemExit"})
    model = svipctl.load(f"hf://{NAME}@{first}", dataset=str(shared_folder), device="cpu")
    image = next((shared_folder / "images").rglob("*.png"))
    from_run = svipctl.load(trained, device="cpu")
    expected = from_run.predict([image]).attributes
    assert model.dtype == from_run.dtype
    np.testing.assert_array_equal(model.predict([image]).attributes, expected)
    newest = local_checkpoint(f"hf://{NAME}")
    assert address_of(newest) == f"hf://{NAME}@{hub.commit_of(NAME)}"
    assert sorted(path.name for path in newest.iterdir()) == ["manifest.json", "metadata.json", "model.safetensors"]
    hub.requests.clear()
    monkeypatch.setenv("SVIPCTL_OFFLINE", "1")
    assert local_checkpoint(f"hf://{NAME}") == newest
    assert hub.requests == []


@pytest.mark.parametrize(
    ("address", "error", "said"),
    [
        (f"hf://{NAME}@v9", DataError, "has no revision v9"),
        ("hf://someone/else", DataError, "no repository someone/else"),
        ("hf://nobody", DataError, "not an address of the Hub"),
        ("hf://someone/empty", DataError, "no checkpoint of svipctl"),
    ],
)
def test_a_missing_repository_revision_or_checkpoint_is_an_error(
    trained: Path, hub: FakeHub, address: str, error: type[Exception], said: str
) -> None:
    fill(hub, trained)
    hub.repositories["someone/empty"] = [{"README.md": b"nothing"}]
    with pytest.raises(error, match=said):
        local_checkpoint(address)


def test_offline_no_request_is_sent(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SVIPCTL_OFFLINE", "1")
    with pytest.raises(NetworkError, match="not in the cache") as caught:
        svipctl.load(f"hf://{NAME}")
    assert "--offline" in caught.value.why
    assert hub.requests == []


def test_an_unreachable_hub_is_a_network_error(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_an_impossible_push_is_refused_before_the_export(
    command: Command, trained_copy: Path, shared_folder: Path, options: tuple[str, ...], code: int, said: str
) -> None:
    done = command("export", str(shared_folder), *options)
    assert (done.code, said in done.stderr) == (code, True)
    assert not (Run(trained_copy).folder / "export").exists()


def test_without_a_token_nothing_is_exported_and_the_error_names_the_login_command(
    command: Command, tmp_path: Path, trained_copy: Path, shared_folder: Path, hub: FakeHub
) -> None:
    options = ("--format", "safetensors", "--images", "2", "--push", NAME, "--licence", "mit")
    here = functools.partial(use_hub, hub.address, tmp_path / "cache", token="")
    done = command("export", str(shared_folder), *options, first=here)
    assert done.code == 3
    assert "hf auth login" in done.stderr
    assert not (trained_copy / "export").exists()


def test_a_hub_that_cannot_be_reached_is_reported_before_the_export(
    command: Command, tmp_path: Path, trained_copy: Path, shared_folder: Path
) -> None:
    options = ("--format", "safetensors", "--push", NAME, "--licence", "mit")
    here = functools.partial(use_hub, "http://127.0.0.1:9", tmp_path / "cache")
    done = command("export", str(shared_folder), *options, first=here)
    assert (done.code, "cannot be reached" in done.stderr) == (4, True), done.stderr
    assert not (trained_copy / "export").exists()


@pytest.mark.parametrize(
    ("licence", "head"),
    [("apache-2.0", ("apache-2.0", None)), ("My Lab Licence, v2", ("other", "my-lab-licence-v2"))],
)
def test_only_licences_that_the_hub_knows_are_named_by_their_identifier(
    trained: Path, licence: str, head: tuple[str, str | None]
) -> None:
    about = yaml.safe_load(front_matter(Run(trained), NAME, licence).strip("-\n"))
    assert (about["license"], about.get("license_name")) == head


def test_an_address_of_the_hub_is_not_a_run(command: Command, trained_copy: Path, shared_folder: Path) -> None:
    done = command("visualize", "curves", str(shared_folder), "--run", f"hf://{NAME}")
    assert (done.code, f"--checkpoint hf://{NAME}" in done.stderr) == (2, True), done.stderr
