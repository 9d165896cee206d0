"""Test damage of any kind to any file of a run: it is reported with the name of the file, or has no effect."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from svipctl.errors import DataError, SvipError
from svipctl.inference.checkpoint import read_checkpoint
from svipctl.inference.gamma import calibrated_gamma
from svipctl.runs.documents import FORMAT
from svipctl.runs.manifest import MANIFEST, write_manifest
from svipctl.runs.run import Run
from svipctl.training.state import FILE, read_position
from tests.runs.last_release import copy_runs
from tests.runs.made import make_old, rewrite

GROWING = ("metrics.jsonl", "steps.jsonl", "metrics.csv", "eval/metrics.json")
"""Files that are written more than once, and so are in no manifest."""


def write_source(folder: Path) -> Path:
    """Return a finished run of the last release with its development, an evaluation, and a state to resume from."""
    runs = copy_runs(folder)
    shutil.copy(runs / "stopped" / "checkpoints" / "last" / FILE, runs / "final" / "checkpoints" / "last")
    (runs / "final" / "initial_images.txt").write_text("seen_a/0.png\n")
    return runs / "final"


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run without manifests, as released."""
    return write_source(tmp_path_factory.mktemp("old") / "small")


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the same run in the present format: with a manifest in the run and in each checkpoint."""
    run = write_source(tmp_path_factory.mktemp("new") / "small")
    for name in ("metrics.jsonl", "steps.jsonl", "metrics.csv"):
        (run / name).rename(run.with_name(name))
    for folder in (run, run / "checkpoints" / "last", run / "checkpoints" / "best"):
        path = folder / ("environment.json" if folder == run else "metadata.json")
        path.write_text(json.dumps({**json.loads(path.read_text()), "format": FORMAT}))
        write_manifest(folder)
    for name in ("metrics.jsonl", "steps.jsonl", "metrics.csv"):
        run.with_name(name).rename(run / name)
    return run


READERS: dict[str, Callable[[Run], Any]] = {
    "settings": lambda run: run.settings(),
    "training images": lambda run: run.training_images(),
    "validation images": lambda run: run.validation_images(),
    "initial images": lambda run: run.initial_images(),
    "development": lambda run: run.development(),
    "environment": lambda run: run.environment(),
    "origins": lambda run: run.origins(),
    "end": lambda run: run.finished_document(),
    "evaluation": lambda run: run.evaluation(),
    "epochs": lambda run: run.metrics,
    "steps": lambda run: run.steps,
    "gamma": lambda run: calibrated_gamma(run, read_checkpoint(run.best)[1]),
}
CHECKPOINT_READERS: dict[str, Callable[[Run], Any]] = {
    "best": lambda run: hashed(read_checkpoint(run.best)),
    "last": lambda run: hashed(read_checkpoint(run.last)),
    "position": lambda run: read_position(run.last),
}


def hashed(checkpoint: tuple[dict[str, torch.Tensor], Any]) -> Any:
    state, metadata = checkpoint
    return {name: tensor.sum().item() for name, tensor in state.items()}, metadata


def everything(run: Run, relative: str = "checkpoints") -> dict[str, Any]:
    """Return the result of each reader of a file: its value, or a SvipError; any other exception is a failure."""
    found: dict[str, Any] = {}
    for name, read in (READERS | (CHECKPOINT_READERS if "checkpoints" in relative else {})).items():
        try:
            found[name] = read(run)
        except SvipError as error:
            found[name] = error
    return found


def replaced(content: bytes) -> Callable[[Path], None]:
    def replace(path: Path) -> None:
        path.write_bytes(content)

    return replace


def flipped(path: Path, place: float = 0.5, bit: int = 2) -> None:
    content = bytearray(path.read_bytes())
    content[int(place * (len(content) - 1))] ^= bit
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def cut_at_a_line(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[: len(lines) // 2]))


def latin(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] + "é".encode("latin-1") + content[len(content) // 2 :])


def instead(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def put(path: Path) -> None:
        path.unlink()
        make(path)

    return put


DAMAGE: dict[str, Callable[[Path], None]] = {
    "cut": cut,
    "cut at a line": cut_at_a_line,
    "empty": replaced(b""),
    "empty line": replaced(b"\n"),
    "list": replaced(b"[]\n"),
    "null": replaced(b"null\n"),
    "object": replaced(b"{}\n"),
    "number": replaced(b"1\n"),
    "deep": replaced(b"[" * 100_000),
    "NaN": replaced(b'{"epoch": 1, "step": 1, "gamma": NaN, "protocols": {"gzsl-calibrated": {"gamma": NaN}}}\n'),
    "wrong type": replaced(
        b'{"epoch": [], "gamma": "1", "runs": 3, "protocols": [1], "files": {"config.toml": 3}, "epochs": null}\n'
    ),
    "bit flip": flipped,
    "latin-1": latin,
    "zeros": lambda path: replaced(bytes(path.stat().st_size))(path),
    "folder": instead(Path.mkdir),
    "fifo": instead(os.mkfifo),
    "missing": Path.unlink,
    "dangling link": instead(lambda path: path.symlink_to("nowhere")),
    "circle": instead(lambda path: path.symlink_to(path)),
}


@contextmanager
def unreadable(monkeypatch: pytest.MonkeyPatch, path: Path) -> Iterator[None]:
    """Make the operating system refuse a file, as it does for every user but root."""
    original = os.open

    def refuse(name: Any, *arguments: Any, **named: Any) -> int:
        if Path(name) == path:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return original(name, *arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr("os.open", refuse)
        yield


@contextmanager
def damaged(path: Path, damage: Callable[[Path], None]) -> Iterator[None]:
    """Damage a file inside the block."""
    aside = path.with_name("aside")
    path.rename(aside)
    shutil.copy(aside, path)
    try:
        damage(path)
        yield
    finally:
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        aside.rename(path)


def files_of(run: Path) -> list[str]:
    return sorted(path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file())


def assert_named_or_the_same(found: dict[str, Any], before: dict[str, Any], relative: str) -> None:
    """Check that every reader whose result has changed names the file, or its checkpoint."""
    for name, value in found.items():
        if not isinstance(value, SvipError):
            # A run without its finished.json is unfinished, and every command reports that.
            unfinished = name == "end" and value is None and relative == "finished.json"
            assert value == before[name] or unfinished, f"{name} changed without an error"
        else:
            assert isinstance(value, DataError)
            assert Path(relative).name in str(value) or Path(relative).parent.name in str(value), str(value)


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_to_a_file_written_once_is_reported_or_has_no_effect(new: Path, damage: str) -> None:
    before = everything(Run(new))
    assert not any(isinstance(value, SvipError) for value in before.values())
    for relative in files_of(new):
        if relative in GROWING:
            continue
        with damaged(new / relative, DAMAGE[damage]):
            found = everything(Run(new), relative)
        assert_named_or_the_same(found, before, relative)


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("kind", ["old", "new"])
def test_damage_to_any_file_raises_only_svip_errors(old: Path, new: Path, damage: str, kind: str) -> None:
    source = {"old": old, "new": new}[kind]
    for relative in files_of(source) if kind == "old" else GROWING:
        with damaged(source / relative, DAMAGE[damage]):
            everything(Run(source), relative)


def test_an_unreadable_file_is_named(new: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = everything(Run(new))
    for relative in files_of(new):
        with unreadable(monkeypatch, new / relative):
            found = everything(Run(new), relative)
        assert_named_or_the_same(found, before, relative)
        is_read = relative != "metrics.csv"
        assert any(isinstance(value, SvipError) for value in found.values()) == is_read, relative


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_changed_byte_of_a_file_written_once_is_reported(new: Path, data: st.DataObject) -> None:
    relative = data.draw(st.sampled_from([name for name in files_of(new) if name not in GROWING]))
    path = new / relative
    place, bit = data.draw(st.floats(0, 1)), 1 << data.draw(st.integers(0, 7))
    before = everything(Run(new), relative)
    with damaged(path, lambda path: flipped(path, place, bit)):
        found = everything(Run(new), relative)
    assert_named_or_the_same(found, before, relative)
    assert relative.endswith(MANIFEST) or any(isinstance(value, SvipError) for value in found.values())


@pytest.mark.parametrize("content", ["", "\n", "\n\n", "a.png\nb.p"])
def test_an_empty_list_of_training_images_does_not_mean_none(old: Path, tmp_path: Path, content: str) -> None:
    run = Run(Path(shutil.copytree(old, tmp_path / "run")))
    (run.folder / "training_images.txt").write_text(content)
    with pytest.raises(DataError, match="does not record which images it was trained on"):
        run.training_images()


@pytest.mark.parametrize("lines", range(2, 60, 3))
def test_a_configuration_truncated_at_a_line_is_damaged(old: Path, tmp_path: Path, lines: int) -> None:
    """It would still be TOML, but of another split."""
    run = Run(Path(shutil.copytree(old, tmp_path / "run")))
    text = (run.folder / "config.toml").read_text().splitlines(keepends=True)
    assert "[eval]\n" not in text[:lines]
    (run.folder / "config.toml").write_text("".join(text[:lines]))
    with pytest.raises(DataError, match=r"config\.toml is damaged"):
        run.settings()


def test_a_file_of_another_size_is_damaged_without_being_read(new: Path, tmp_path: Path) -> None:
    run = Run(Path(shutil.copytree(new, tmp_path / "run")))
    os.truncate(run.folder / "config.toml", 2**40)  # sparse: reading it would take all memory
    with pytest.raises(DataError, match=r"config\.toml is damaged"):
        run.settings()


def test_a_run_without_manifests_has_files_of_any_size(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("svipctl.runs.manifest.MOST_UNLISTED", 10_000)  # a state of a large network is larger than it
    assert Run(old).settings().dataset
    assert read_position(Run(old).last)


def test_a_metric_that_is_text_or_overflows_is_damage(old: Path, tmp_path: Path) -> None:
    run = Run(Path(shutil.copytree(old, tmp_path / "run")))
    lines = (run.folder / "metrics.jsonl").read_text()
    for value in ('"abc"', "1" + 400 * "0"):
        (run.folder / "metrics.jsonl").write_text(re.sub(r'"loss": [0-9.e-]+', f'"loss": {value}', lines, count=1))
        with pytest.raises(DataError, match=r"metrics\.jsonl"):
            assert run.metrics


@pytest.mark.parametrize("reader", READERS | CHECKPOINT_READERS)
def test_without_its_manifest_no_file_of_a_run_is_believed(new: Path, tmp_path: Path, reader: str) -> None:
    run = Run(Path(shutil.copytree(new, tmp_path / "run")))
    for path in run.folder.rglob(MANIFEST):
        path.unlink()
    read = (READERS | CHECKPOINT_READERS)[reader]
    if reader in ("epochs", "steps", "evaluation"):  # of files that grow, which no manifest lists
        read(run)
        return
    with pytest.raises(DataError, match=r"manifest\.json is missing"):
        read(run)
    with pytest.raises(DataError, match=r"manifest\.json is missing"):
        run.save_json("more.json", {})


def test_a_run_of_the_last_release_does_not_need_the_document_of_its_environment(new: Path, tmp_path: Path) -> None:
    run = Run(Path(shutil.copytree(new, tmp_path / "run")))
    make_old(run.folder)
    settings = run.settings()
    (run.folder / "environment.json").unlink()
    assert (run.settings(), run.environment()) == (settings, {})


@pytest.mark.parametrize(("folder", "document"), [(".", "environment.json"), ("checkpoints/best", "metadata.json")])
def test_a_folder_of_a_later_format_is_refused(new: Path, tmp_path: Path, folder: str, document: str) -> None:
    run = Run(Path(shutil.copytree(new, tmp_path / "run")))
    path = run.folder / folder / document
    rewrite(path, json.dumps(json.loads(path.read_text()) | {"format": FORMAT + 1}))
    with pytest.raises(DataError, match="format: Input should be less than or equal to 2"):
        run.environment() if folder == "." else read_checkpoint(run.folder / folder)


@pytest.mark.parametrize("folder", [".", "checkpoints/best", "checkpoints/last"])
def test_a_manifest_that_lists_nothing_is_damaged(new: Path, tmp_path: Path, folder: str) -> None:
    run = Run(Path(shutil.copytree(new, tmp_path / "run")))
    (run.folder / folder / MANIFEST).write_text('{"files": {}}')
    with pytest.raises(DataError, match="does not list"):
        run.development() if folder == "." else read_checkpoint(run.folder / folder)
