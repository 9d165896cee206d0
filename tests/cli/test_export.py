"""Test `svipctl export`: the file, what is written next to it, and the error if its answers differ from the model's."""

from __future__ import annotations

import functools
import json
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.test_bad_input import assert_refused
from tests.cli.test_schemas import follows
from tests.conftest import ATTRIBUTES, SEEN, TESTED, UNSEEN, Command
from tests.processes import files_under
from tests.runs.made import rewrite

pytestmark = pytest.mark.slow

IMAGES = len(SEEN) * TESTED + len(UNSEEN) * 2 * TESTED


@pytest.fixture
def folder(trained_copy: Path, tmp_path: Path) -> Path:
    """Return the folder of exports; the run is in the folder of runs."""
    return tmp_path / "shipped"


def perturb_one_weight(factor: float = 1.0) -> None:
    """Change one weight of every exported graph."""
    import torch

    from svipctl.export import artifact
    from svipctl.export.graph import ExportGraph

    class Broken(ExportGraph):
        def __init__(self, *arguments: object, **more: object) -> None:
            super().__init__(*arguments, **more)  # type: ignore[arg-type]
            with torch.no_grad():
                self.model.attribute_head.bias[0] += factor

    artifact.ExportGraph = Broken  # type: ignore[misc]


def test_onnx_is_written_checked_and_described(command: Command, folder: Path, shared_folder: Path) -> None:
    import onnxruntime

    path = folder / "birds.onnx"
    done = command("export", str(shared_folder), "-o", str(path), "--licence", "CC-BY-4.0", "--json")
    assert done.code == 0, done.stderr
    document = done.document
    assert document["passed"]
    assert document["breaches"] == []
    assert (document["path"], document["file"]) == (str(path), "birds.onnx")
    assert {(one["batch"], one["classes"]) for one in document["comparisons"]} == {
        (batch, table) for batch in (1, 3, 16) for table in ("own", "other")
    }
    assert all(max(one["largest_difference"].values()) < 1e-3 for one in document["comparisons"])
    assert all(one["equal_answers"] == 1 for one in document["comparisons"])
    assert document["accuracy"]["images"] == IMAGES
    assert document["accuracy"]["model"] == document["accuracy"]["exported"]
    assert set(files_under(folder)) == {"birds.onnx", "birds.onnx.parity.json", "MODEL_CARD.md"}
    report = json.loads((folder / "birds.onnx.parity.json").read_text())
    assert report == {name: value for name, value in document.items() if name not in ("path", "report")}

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    about = json.loads(session.get_modelmeta().custom_metadata_map["svipctl"])
    assert about["attributes"] == list(ATTRIBUTES)
    assert about["classes"] == [*SEEN, *UNSEEN]
    assert about["seen_classes"] == list(SEEN)
    assert len(about["class_attributes"]) == len(about["classes"])
    assert about["weights"]["checkpoint_sha256"] == report["checkpoint_sha256"]
    assert (about["recipe"], about["licence"]["weights"]) == ("svipctl", "CC-BY-4.0")
    assert about["metrics"]
    card = (folder / "MODEL_CARD.md").read_text()
    for part in ("birds.onnx", "CC-BY-4.0", about["weights"]["checkpoint_sha256"], report["sha256"], UNSEEN[0]):
        assert part in card


@pytest.mark.parametrize(
    "flags",
    [
        ("--format", "torch"),
        ("--format", "safetensors", "--precision", "fp16"),
        ("--precision", "fp16", "--input", "float", "--resize"),
    ],
)
def test_every_kind_passes_and_has_its_own_folder_in_the_run(
    flags: tuple[str, ...], command: Command, trained_copy: Path, shared_folder: Path
) -> None:
    done = command("export", str(shared_folder), *flags)
    assert done.code == 0, done.stdout + done.stderr
    (kind,) = (trained_copy / "export").iterdir()
    assert all(flag.lstrip("-") in kind.name for flag in flags if flag not in ("--format", "--precision", "--input"))
    assert len(list(kind.iterdir())) == 3
    assert "batch 16, other classes" in done.stdout
    assert "done: " in done.stdout


@pytest.mark.parametrize("kind", ["onnx", "torch"])
def test_a_file_with_one_wrong_weight_gets_another_name_and_the_earlier_one_is_kept(
    kind: str, command: Command, folder: Path, shared_folder: Path
) -> None:
    folder.mkdir()
    path = folder / "birds"
    path.write_text("the file of yesterday")
    flags = ("--format", kind, "-o", str(path), "--force")
    done = command("export", str(shared_folder), *flags, first=perturb_one_weight)
    assert done.code == 1
    assert "does not reproduce the model" in done.stderr
    assert "attributes differ by" in done.stderr
    assert path.read_text() == "the file of yesterday"
    assert set(files_under(folder)) == {"birds", "birds.failed-parity", "birds.failed-parity.parity.json"}
    assert not json.loads((folder / "birds.failed-parity.parity.json").read_text())["passed"]
    told = command("export", str(shared_folder), *flags, "--json", first=perturb_one_weight).document
    assert follows("export", told)
    assert (told["passed"], told["path"]) == (False, str(path) + ".failed-parity")
    assert told["error"]["why"].splitlines() == told["breaches"]


def test_the_tolerance_decides_what_is_a_breach(command: Command, folder: Path, shared_folder: Path) -> None:
    nudge = functools.partial(perturb_one_weight, 1e-2)
    flags = ("export", str(shared_folder), "--format", "safetensors", "-o", str(folder / "birds"))
    assert command(*flags, first=nudge).code == 1
    assert command(*flags, "--tolerance", "0.5", first=nudge).code == 0
    assert set(files_under(folder)) == {"birds", "birds.parity.json", "MODEL_CARD.md"}  # nothing of the first attempt


def test_existing_files_are_refused_and_unchanged(command: Command, folder: Path, shared_folder: Path) -> None:
    folder.mkdir()
    path = folder / "birds.onnx"
    path.write_text("mine")
    flags = ("export", str(shared_folder), "-o", str(path))
    assert_refused(command(*flags), 2, "birds.onnx already exists", "--force")
    (folder / "MODEL_CARD.md").write_text("# Mine")
    assert_refused(command(*flags, "--force"), 2, "the model card cannot be written")
    assert_refused(command("export", str(shared_folder), "-o", str(folder)), 2, "is a folder")
    assert {name: content.decode() for name, content in files_under(folder).items()} == {
        "birds.onnx": "mine",
        "MODEL_CARD.md": "# Mine",
    }


@pytest.mark.parametrize(
    ("flags", "part"),
    [
        (("--format", "onxx"), "did you mean 'onnx'"),
        (("--precision", "fp8"), "'--precision': there is no 'fp8'"),
        (("--input", "bytes"), "'--input': there is no 'bytes'"),
        (("--format", "torch", "--precision", "int8"), "int8 is not available for torch"),
        (("--precision", "int8", "-o", "birds.pt2"), "int8 is not available for torch"),
        (("--format", "onnx", "-o", "birds.pt2"), "use the name birds.onnx, or choose --format torch"),
        (("--gamma", "inf"), "gamma is inf"),
        (("--tolerance", "0"), "--tolerance 0"),
        (("--run", "frist"), "did you mean 'first'"),
    ],
)
def test_an_impossible_export_is_refused_before_anything_is_written(
    flags: tuple[str, ...], part: str, command: Command, trained_copy: Path, shared_folder: Path, tmp_path: Path
) -> None:
    before = set(files_under(tmp_path / "runs"))
    done = command("export", str(shared_folder), *flags)
    assert (done.code, done.stdout) == (3 if "--run" in flags else 2, "")
    assert part in done.stderr
    assert set(files_under(tmp_path / "runs")) == before


@pytest.mark.parametrize(
    ("file", "format"), [("a.pt2", "torch"), ("a.safetensors", "safetensors"), ("a.ONNX", "onnx"), ("a.bin", "onnx")]
)
def test_the_suffix_of_the_file_chooses_the_format(
    file: str, format: str, command: Command, trained_copy: Path, shared_folder: Path
) -> None:
    assert command("export", str(shared_folder), "-o", file, "--dry-run", "--json").document["format"] == format


@pytest.mark.parametrize("kind", ["onnx", "torch", "safetensors"])
def test_a_file_name_that_is_not_utf_8_is_refused(
    command: Command, folder: Path, shared_folder: Path, kind: str
) -> None:
    done = command("export", str(shared_folder), "--format", kind, "-o", os.fsdecode(b"a\xff/model"))
    assert_refused(done, 2, "its name is not UTF-8", "-o")


@pytest.mark.parametrize("selection", ["random", "object"])
def test_a_selection_that_a_graph_cannot_compute_is_refused(
    selection: str, command: Command, folder: Path, trained_copy: Path, shared_folder: Path
) -> None:
    config = trained_copy / "config.toml"
    rewrite(config, config.read_text().replace('selection = "learned"', f'selection = "{selection}"'))
    done = command("export", str(shared_folder), "-o", str(folder / "birds.onnx"))
    assert_refused(done, 2, f"method.selection = {selection} cannot be exported")


@pytest.mark.parametrize("text", ["[]", '{"protocols": {"gzsl": {"U": null}}}'])
def test_a_damaged_evaluation_is_not_exported_even_with_a_gamma(
    text: str, command: Command, folder: Path, trained_copy: Path, shared_folder: Path
) -> None:
    (trained_copy / "eval").mkdir()
    (trained_copy / "eval" / "metrics.json").write_text(text)
    flags = ("--gamma", "0.1", "--format", "safetensors", "-o", str(folder / "birds"))
    done = command("export", str(shared_folder), *flags)
    assert (done.code, done.stdout) == (3, "")
    assert "metrics.json is damaged" in done.stderr
    assert files_under(folder) == {}


def hide_onnxruntime() -> None:
    """Make onnxruntime unavailable, as if the extra were not installed."""
    import sys

    sys.modules["onnxruntime"] = None  # type: ignore[assignment]


def test_without_the_extra_the_onnx_error_says_what_to_install(
    command: Command, folder: Path, shared_folder: Path
) -> None:
    done = command("export", str(shared_folder), first=hide_onnxruntime)
    assert_refused(done, 2, "not installed", "pip install 'svipctl[export]'")


@pytest.mark.fast
def test_a_dry_run_writes_nothing(command: Command, folder: Path, shared_folder: Path, tmp_path: Path) -> None:
    before = set(files_under(tmp_path / "runs"))
    done = command("export", str(shared_folder), "--dry-run", "--json")
    assert done.code == 0
    assert done.document["dry_run"] is True
    assert done.document["about_bytes"] > 0
    assert set(files_under(tmp_path / "runs")) == before


def test_a_damaged_evaluation_image_leaves_no_partial_file(
    command: Command, folder: Path, trained_copy: Path, small_folder: Path
) -> None:
    picture = small_folder / "images" / UNSEEN[0] / "0.png"
    Image.open(picture).save(picture)
    picture.write_bytes(picture.read_bytes()[:200])
    done = command("export", str(small_folder), "--format", "safetensors", "-o", str(folder / "birds"))
    assert (done.code, done.stdout) == (3, "")
    assert "does not decode" in done.stderr
    assert files_under(folder) == {}


def test_a_run_of_another_table_is_not_exported(
    command: Command, folder: Path, trained_copy: Path, small_folder: Path
) -> None:
    table = small_folder / "attributes.csv"
    table.write_text(table.read_text().replace(",1,", ",0.5,"))
    done = command("export", str(small_folder), "--run", "first", "--format", "torch", "-o", str(folder / "birds.pt2"))
    assert (done.code, done.stdout) == (3, "")
    assert "have changed since the run was trained" in done.stderr


def test_a_damaged_checkpoint_is_not_exported(
    command: Command, folder: Path, trained_copy: Path, shared_folder: Path
) -> None:
    weights = trained_copy / "checkpoints" / "best" / "model.safetensors"
    shutil.copy(weights, folder.parent / "whole")
    weights.write_bytes(weights.read_bytes()[:-8])
    done = command("export", str(shared_folder), "--format", "torch", "-o", str(folder / "birds.pt2"))
    assert (done.code, done.stdout) == (3, "")
    assert "is damaged" in done.stderr
