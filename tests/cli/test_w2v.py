"""Test `svipctl w2v build` and `w2v check`: what they write, print and refuse, in separate processes."""

from __future__ import annotations

import csv
import pickle
from pathlib import Path

import numpy as np
import pytest

from svipctl.datasets.official import attribute_names
from svipctl.semantics.matrix import WordMatrix
from tests.cli.test_schemas import follows
from tests.conftest import ATTRIBUTES, Command
from tests.datasets.official_layout import lay_out, needs_metadata
from tests.processes import files_under, fresh
from tests.semantics.vector_cases import PUBLISHED

pytestmark = pytest.mark.slow

SUBSET = PUBLISHED / "derived_googlenews_subset.txt"


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    """Return vectors of every word of the small folder's attributes except `wing`."""
    path = tmp_path / "vectors.txt"
    path.write_text("bill 1 0 0\ncolor 0 1 0\nred 0 0 1\ngreen 0 0 2\nblue 0 0 4\n")
    return path


@needs_metadata
@pytest.mark.parametrize("dataset", ["cub", "awa2", "sun"])
def test_the_published_arrays_are_rebuilt_from_the_published_words(dataset: str, tmp_path: Path) -> None:
    lay_out(dataset, tmp_path / "data")
    published = PUBLISHED / f"{dataset.upper()}_attribute.pkl"
    built = fresh("w2v", "build", dataset, "--vectors", str(SUBSET), "--json", cwd=tmp_path)
    assert built.code == 0, built.stderr
    zero = ["man-made"] if dataset == "sun" else []
    assert (built.document["unknown_words"], built.document["zero_rows"]) == (zero, zero)
    assert ("man-made" in built.stderr) == (dataset == "sun")
    assert built.document["source"] == SUBSET.name
    found = WordMatrix.load(
        tmp_path / "data" / dataset / "word_vectors.npz", attribute_names(dataset, tmp_path / "data")
    )
    expected = pickle.loads(published.read_bytes())
    assert found.vectors.shape == expected.shape
    assert np.abs(found.vectors - expected).max() < 1e-12
    assert list(found.zero_rows) == zero
    checked = fresh("w2v", "check", dataset, "--against", str(published), "--json", cwd=tmp_path)
    assert checked.code == 0, checked.stderr
    assert checked.document["largest_difference"] < 1e-12
    assert checked.document["different_attributes"] == []
    assert follows("w2v-check", checked.document)


@needs_metadata
def test_the_published_arrays_have_the_published_checksum(tmp_path: Path, command: Command) -> None:
    lay_out("sun", tmp_path / "data")
    names = attribute_names("sun", tmp_path / "data")
    published = pickle.loads((PUBLISHED / "SUN_attribute.pkl").read_bytes())
    WordMatrix(published, names).save(tmp_path / "data" / "sun" / "word_vectors.npz")
    same = command("w2v", "check", "sun", "--json")
    assert (same.code, same.document["same_bytes"], same.document["same_values"]) == (0, True, True)
    assert follows("w2v-check", same.document)
    published[3, 4] += 1e-9
    WordMatrix(published, names).save(tmp_path / "data" / "sun" / "word_vectors.npz")
    rounded = command("w2v", "check", "sun", "--json")
    assert rounded.code == 1
    assert follows("w2v-check", rounded.document)
    assert (rounded.document["same_bytes"], rounded.document["same_values"]) == (False, None)
    error = rounded.document["error"]
    assert "differs from the published one" in error["what"]
    assert "--against compares the values with a published file" in error["why"]
    assert error["todo"] == "svipctl w2v check sun --against SUN_attribute.pkl"
    against = command("w2v", "check", "sun", "--json", "--against", str(PUBLISHED / "SUN_attribute.pkl"))
    assert (against.code, against.document["same_bytes"], against.document["same_values"]) == (0, False, True)
    published[3, 4] += 1
    WordMatrix(published, names).save(tmp_path / "data" / "sun" / "word_vectors.npz")
    wrong = command("w2v", "check", "sun", "--against", str(PUBLISHED / "SUN_attribute.pkl"))
    assert wrong.code == 1
    assert f"1 of 102 rows differ, for instance {names[3]}" in wrong.stderr
    assert "next: svipctl w2v build sun" in wrong.stderr
    WordMatrix(published[:, :50], names).save(tmp_path / "data" / "sun" / "word_vectors.npz")
    narrow = command("w2v", "check", "sun")
    assert narrow.code == 1
    assert "the published ones have 300 numbers per attribute, yours have 50" in narrow.stderr


def test_vectors_of_a_data_folder_are_written_in_place_and_reported(
    small_folder: Path, vectors: Path, command: Command
) -> None:
    done = command("w2v", "build", str(small_folder), "--vectors", str(vectors))
    assert done.code == 0, done.stderr
    assert "unknown words, which contribute nothing: wing" in done.stderr
    assert "6 attributes x 3 from vectors.txt" in done.stdout
    found = WordMatrix.load(small_folder / "word_vectors.npz", ATTRIBUTES)
    assert found.vectors.tolist() == [[1, 1, 1], [1, 1, 2], [1, 1, 4], [0, 1, 1], [0, 1, 2], [0, 1, 4]]
    assert (found.words[0], found.words[3]) == ("bill color red", "color red")
    assert (found.unknown, found.source, found.pooling, found.scheme) == (("wing",), "vectors.txt", "sum", "cub")
    assert str(vectors.parent).encode() not in (small_folder / "word_vectors.npz").read_bytes()
    first = (small_folder / "word_vectors.npz").read_bytes()
    assert command("w2v", "build", str(small_folder), "--vectors", str(vectors), "--quiet").stderr == ""
    assert (small_folder / "word_vectors.npz").read_bytes() == first


@pytest.mark.parametrize("name", ["other.npz", "other.safetensors"])
def test_the_flags_output_and_pooling_choose_the_file_and_the_mean(
    name: str, small_folder: Path, vectors: Path, command: Command, tmp_path: Path
) -> None:
    done = command(
        *("w2v", "build", str(small_folder), "--vectors", str(vectors), "-o", name, "--pooling", "mean", "--json")
    )
    assert done.code == 0, done.stderr
    assert (done.document["output"], done.document["pooling"]) == (name, "mean")
    assert WordMatrix.load(tmp_path / name, ATTRIBUTES).vectors[4].tolist() == [0, 0.5, 1]
    assert not (small_folder / "word_vectors.npz").exists()


def test_a_row_without_a_known_word_is_zero_and_reported(small_folder: Path, command: Command, tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text("bill 1 0\nblue 0 1\n")
    done = command("w2v", "build", str(small_folder), "--vectors", "v.txt", "--json")
    assert done.document["zero_rows"] == ["has_wing_color::red", "has_wing_color::green"]
    assert done.document["unknown_words"] == ["color", "red", "green", "wing"]
    assert "vectors are zero: has_wing_color::red, has_wing_color::green" in done.stderr


@pytest.mark.fast
def test_training_uses_the_built_vectors(
    small_folder: Path, vectors: Path, tiny: tuple[str, ...], command: Command, tmp_path: Path
) -> None:
    from safetensors.numpy import load_file

    words = tuple(part.replace("context=free", "context=words") for part in tiny)
    missing = command("train", str(small_folder), *words, "--name", "one")
    assert missing.code == 3
    assert "w2v build" in missing.stderr
    assert command("w2v", "build", str(small_folder), "--vectors", str(vectors)).code == 0
    done = command("train", str(small_folder), *words, "--name", "one")
    assert done.code == 0, done.stderr
    model = load_file(tmp_path / "runs" / "small" / "one" / "checkpoints" / "last" / "model.safetensors")
    (used,) = (value for name, value in model.items() if name.endswith("word_vectors"))
    assert np.array_equal(used, WordMatrix.load(small_folder / "word_vectors.npz", ATTRIBUTES).vectors)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "word2vec-google-news-300"),
        (("--vectors", "none.bin"), 3, "there is no file none.bin"),
        (("--vectors", "word2vec-google-news-30"), 3, "did you mean 'word2vec-google-news-300'"),
        (("--vectors", "glove-wiki-gigaword-50", "--offline"), 4, "--offline"),
        (("--vectors", "split.csv"), 3, "is not a complete word-vector file"),
        (("--vectors", "others.txt"), 3, "none of the 6 words"),
        (("--vectors", "others.txt", "-o", "w.pkl"), 2, "use the ending .npz or .safetensors"),
        (("--vectors", "others.txt", "--pooling", "max"), 2, "max"),
    ],
)
def test_impossible_builds_are_refused(
    arguments: tuple[str, ...], code: int, said: str, small_folder: Path, command: Command, tmp_path: Path
) -> None:
    (tmp_path / "split.csv").write_bytes((small_folder / "split.csv").read_bytes())
    (tmp_path / "others.txt").write_text("word 1 2\n")
    before = files_under(small_folder)
    done = command("w2v", "build", str(small_folder), *arguments)
    assert done.code == code, done.stderr
    assert said in done.stderr
    assert files_under(small_folder) == before


@pytest.mark.fast
def test_a_pickle_that_would_execute_code_is_refused(small_folder: Path, command: Command, tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"\x80\x04cposix\nmkdir\n(X\x03\x00\x00\x00runtR.")
    build = command("w2v", "build", str(small_folder), "--vectors", "model")
    assert build.code == 3
    assert "model is a pickle" in build.stderr
    assert "next: python -c 'from gensim.utils import SaveLoad;" in build.stderr
    WordMatrix(np.zeros((6, 2)), ATTRIBUTES).save(small_folder / "word_vectors.npz")
    check = command("w2v", "check", str(small_folder), "--against", "model")
    assert check.code == 3
    assert "posix.mkdir" in check.stderr
    assert not (tmp_path / "run").exists()


def test_a_dry_run_writes_nothing(small_folder: Path, vectors: Path, command: Command, tmp_path: Path) -> None:
    before = files_under(small_folder)
    done = command("w2v", "build", str(small_folder), "--vectors", str(vectors), "--dry-run", "--json")
    assert (done.code, done.document["dry_run"], done.document["attributes"]) == (0, True, 6)
    download = command("w2v", "build", str(small_folder), "--vectors", "glove-wiki-gigaword-50", "--dry-run")
    assert "69,182,535 bytes" in download.stdout
    assert command("w2v", "build", "toybirds", "--dry-run", "--json").document["pictures_to_draw"] > 1000
    assert files_under(small_folder) == before
    assert not (tmp_path / "data").exists()


def test_a_benchmark_without_its_attribute_list_ends_with_3(vectors: Path, command: Command) -> None:
    done = command("w2v", "build", "cub", "--vectors", str(vectors))
    assert done.code == 3
    assert "svipctl data fetch cub" in done.stderr


def test_check_of_a_folder_needs_a_file_to_compare_with(
    small_folder: Path, vectors: Path, command: Command, tmp_path: Path
) -> None:
    nothing = command("w2v", "check", str(small_folder), "--against", "table.pkl")
    assert nothing.code == 3
    assert command("w2v", "build", str(small_folder), "--vectors", str(vectors)).code == 0
    without = command("w2v", "check", str(small_folder))
    assert without.code == 2
    assert "--against" in without.stderr
    table = WordMatrix.load(small_folder / "word_vectors.npz", ATTRIBUTES).vectors
    (tmp_path / "table.pkl").write_bytes(pickle.dumps(table))
    assert command("w2v", "check", str(small_folder), "--against", "table.pkl").code == 0
    (tmp_path / "table.pkl").write_bytes(pickle.dumps(table[:, :2]))
    other = command("w2v", "check", str(small_folder), "--against", "table.pkl")
    assert other.code == 1
    assert "(6, 2)" in other.stderr
    document = command("w2v", "check", str(small_folder), "--against", "table.pkl", "--json").document
    assert follows("w2v-check", document)
    assert (document["same_values"], document["largest_difference"]) == (False, None)
    assert document["error"]["exit_code"] == 1


def test_changed_attributes_of_a_folder_are_noticed(small_folder: Path, vectors: Path, command: Command) -> None:
    assert command("w2v", "build", str(small_folder), "--vectors", str(vectors)).code == 0
    with (small_folder / "attributes.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    with (small_folder / "attributes.csv").open("w", newline="") as file:
        csv.writer(file).writerows([row[0], *row[2:], row[1]] for row in rows)
    done = command("w2v", "check", str(small_folder), "--against", str(vectors))
    assert done.code == 3
    assert "is for other attributes" in done.stderr
