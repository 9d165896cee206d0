"""Test trained networks from files in real processes: evaluated as the run they come from, and trained further."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from svipctl.datasets.folder import open_folder
from svipctl.inference.weights_file import published_name
from svipctl.semantics.matrix import WordMatrix
from tests.cli.test_schemas import follows
from tests.conftest import ATTRIBUTES, SEEN, Command, write_small_folder
from tests.inference.published_files import save_published
from tests.processes import Finished, files_under, forked
from tests.runs.made import rewrite

pytestmark = pytest.mark.slow

WORDS = ("--set", "method.context=words", "--recipe", "reference", "--set", "train.monitor=none")
LAST = ("--set", "train.select=last", "--set", "method.keep=3")


@pytest.fixture(scope="module")
def with_words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the tiny data folder, with word vectors."""
    folder = write_small_folder(tmp_path_factory.mktemp("words") / "small")
    vectors = torch.randn(len(ATTRIBUTES), 7, generator=torch.Generator().manual_seed(1)).double().numpy()
    WordMatrix(vectors, ATTRIBUTES).save(folder / "word_vectors.npz")
    return folder


@pytest.fixture(scope="module")
def network(tiny: tuple[str, ...]) -> tuple[str, ...]:
    """Return flags that select the tiny network of the reference recipe."""
    return (*tiny, *WORDS, *LAST)


@pytest.fixture(scope="module")
def origin(with_words: Path, network: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a run of the reference recipe, and its network as a file of the published code."""
    folder = tmp_path_factory.mktemp("origin")
    done = forked("train", str(with_words), *network, "--name", "one", cwd=folder, streams=folder / ".streams")
    assert done.code == 0, done.stderr
    state = load_file(folder / "runs" / "small" / "one" / "checkpoints" / "best" / "model.safetensors")
    words = state.pop("context.word_vectors")
    assert words.shape == (len(ATTRIBUTES), 7)
    save_published(folder / "published.pth", {published_name(name): tensor for name, tensor in state.items()})
    return folder


BACKBONE = ("--backbone", "vit_tiny_patch16_224", "--gpu", "cpu", "--set", "data.workers=0", "--json")


def backbone_arguments(network: tuple[str, ...]) -> tuple[str, ...]:
    return ("--set", next(flag for flag in network if flag.startswith("model.backbone_args")), *LAST[2:])


@pytest.mark.fast
def test_a_published_file_scores_as_the_run_it_was_made_from(
    origin: Path, with_words: Path, network: tuple[str, ...], command: Command, tmp_path: Path
) -> None:
    of_run: Finished = forked(
        *("eval", str(with_words), "--run", "one", "--gpu", "cpu", "--json"),
        cwd=origin,
        streams=tmp_path / ".streams-of-run",
    )
    assert of_run.code == 0, of_run.stderr
    file = origin / "published.pth"
    done = command("eval", str(with_words), "--checkpoint", str(file), *BACKBONE, *backbone_arguments(network))
    assert done.code == 0, done.stderr
    assert follows("eval", done.document)
    for key in ("protocols", "intervals", "selection", "images", "split"):
        assert done.document[key] == of_run.document[key], key
    assert (done.document["run"], done.document["recipe"], done.document["epoch"]) == (None, "reference", 14)
    assert done.document["checkpoint"]["file"] == "published.pth"
    assert "gzsl-calibrated" not in done.document["protocols"]
    first, second, *_ = done.document["warnings"]
    assert "head.bias, head.weight" in first
    assert "the training images of published.pth are not known" in second
    assert second in done.stderr
    assert str(origin) not in json.dumps(done.document)


def test_a_network_of_another_shape_is_an_error_that_lists_every_tensor(
    origin: Path, with_words: Path, network: tuple[str, ...], command: Command
) -> None:
    arguments = tuple(part.replace("depth=1", "depth=2") for part in backbone_arguments(network))
    done = command(
        *("eval", str(with_words), "--checkpoint", str(origin / "published.pth"), *BACKBONE[:-1], *arguments)
    )
    assert (done.code, done.stdout) == (3, "")
    assert done.stderr.count("missing: blocks.1.") == 12, "each tensor of a block"
    assert "depth 1" in done.stderr


def test_a_checkpoint_of_a_run_is_evaluated_with_its_runs_checks(
    origin: Path, with_words: Path, command: Command, tmp_path: Path
) -> None:
    last = origin / "runs" / "small" / "one" / "checkpoints" / "last"
    done = command("eval", str(with_words), "--checkpoint", str(last), "--gpu", "cpu", "--json")
    assert done.code == 0, done.stderr
    assert done.document["checkpoint"]["file"] == "one/checkpoints/last"
    assert not any("is not known" in warning for warning in done.document["warnings"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--recipe", "paper"), "the run determines its recipe"),
        (("--backbone", "vit_tiny"), "the run determines its recipe"),
        (("--checkpoint", "x.pth", "--run", "one"), "cannot be combined"),
    ],
)
def test_contradictory_flags_are_refused(arguments: tuple[str, ...], said: str, command: Command) -> None:
    done = command("eval", "toybirds", *arguments)
    assert (done.code, done.stdout) == (2, "")
    assert said in done.stderr


def trained_further(
    command: Command, tmp_path: Path, data: Path, network: tuple[str, ...], file: Path, *more: str
) -> tuple[Finished, Path]:
    done = command("train", str(data), *network, "--init-from", str(file), "--name", "two", *more)
    return done, tmp_path / "runs" / "small" / "two"


def test_training_starts_from_a_published_file_and_warns_that_its_images_are_unknown(
    origin: Path, with_words: Path, network: tuple[str, ...], command: Command, tmp_path: Path
) -> None:
    tiny_steps = ("--lr", "1e-12", "--set", "optim.warmup_lr=1e-12")
    done, run = trained_further(command, tmp_path, with_words, network, origin / "published.pth", *tiny_steps)
    assert done.code == 0, done.stderr
    assert "unused in published.pth and ignored: head.bias, head.weight" in done.stderr
    before = load_file(origin / "runs" / "small" / "one" / "checkpoints" / "best" / "model.safetensors")
    after = load_file(run / "checkpoints" / "last" / "model.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.allclose(before[name], after[name], atol=1e-8) for name in before)
    weights = json.loads((run / "environment.json").read_text())["weights"]
    assert weights["source"] == "published.pth"
    assert (len(weights["sha256"]), weights["images"]) == (64, "unknown")
    scored = command("eval", str(with_words), "--run", "two", "--gpu", "cpu", "--json")
    assert any("starting weights (published.pth)" in warning for warning in scored.document["warnings"])


def test_a_run_that_starts_from_another_records_its_images(
    origin: Path, with_words: Path, network: tuple[str, ...], command: Command, tmp_path: Path
) -> None:
    done, run = trained_further(command, tmp_path, with_words, network, origin / "runs" / "small" / "one")
    assert done.code == 0, done.stderr
    images = (origin / "runs" / "small" / "one" / "training_images.txt").read_text().splitlines()
    assert sorted((run / "initial_images.txt").read_text().splitlines()) == sorted(images)
    assert json.loads((run / "environment.json").read_text())["weights"]["images"] == "known"
    rewrite(run / "initial_images.txt", "\n".join([*images, "images/unseen_x/0.png"]) + "\n")
    scored = command("eval", str(with_words), "--run", "two", "--gpu", "cpu")
    assert scored.code == 3
    assert "trained on 1 of the 20" in scored.stderr


@pytest.mark.fast
def test_weights_trained_on_a_folds_unseen_classes_do_not_start_its_run(
    origin: Path, with_words: Path, network: tuple[str, ...], command: Command, tmp_path: Path
) -> None:
    done, run = trained_further(
        command, tmp_path, with_words, network, origin / "runs" / "small" / "one", "--fold", "1"
    )
    assert done.code == 3
    held_out = len(open_folder(with_words).folds[0])
    assert f"trained on {held_out} of the {held_out} classes that are unseen now" in done.stderr
    assert held_out < len(SEEN)
    assert not run.exists()


def test_resuming_needs_the_same_starting_weights_but_not_their_file(
    origin: Path, with_words: Path, network: tuple[str, ...], command: Command, tmp_path: Path
) -> None:
    import functools
    import signal

    from tests.training.test_resume import signal_at_update

    file = tmp_path / "begin.pth"
    file.write_bytes((origin / "published.pth").read_bytes())
    arguments: tuple[Any, ...] = ("train", str(with_words), *network, "--init-from", str(file), "--name", "two")
    stopped = command(*arguments, first=functools.partial(signal_at_update, 3, signal.SIGTERM))
    assert stopped.code == 75, stopped.stderr
    file.unlink()
    other = command("train", str(with_words), "--init-from", "other.pth", "--resume", "two", "--gpu", "cpu")
    assert (other.code, "model.init_from" in other.stderr) == (2, True)
    resumed = command(*arguments, "--resume", "two")
    assert resumed.code == 0, resumed.stderr


def test_a_dry_run_and_a_missing_file_write_nothing(
    origin: Path, with_words: Path, network: tuple[str, ...], command: Command, tmp_path: Path
) -> None:
    before = files_under(with_words)
    plan, run = trained_further(command, tmp_path, with_words, network, origin / "published.pth", "--dry-run")
    assert plan.code == 0, plan.stderr
    plan, run = trained_further(command, tmp_path, with_words, network, Path("gone.pth"), "--dry-run", "--json")
    assert plan.code == 3
    assert plan.document["error"]["what"] == "there is no checkpoint gone.pth"
    done, run = trained_further(command, tmp_path, with_words, network, Path("gone.pth"))
    assert done.code == 3
    assert "there is no checkpoint gone.pth" in done.stderr
    assert not run.exists()
    assert files_under(with_words) == before
