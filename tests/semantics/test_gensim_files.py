"""gensim's own files: read as gensim reads them, without running what they name."""

from __future__ import annotations

import builtins
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svipctl.errors import DataError
from svipctl.semantics.vector_files import read_word_vectors
from tests.semantics.vector_cases import WIDTH, WORDS, keyed_vectors, write_gensim_kinds

KINDS = ("keyed", "keyed_beside", "keyed.gz", "model", "model_beside")
ALL = frozenset(WORDS)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_gensim_kinds(tmp_path_factory.mktemp("gensim"))


@pytest.mark.parametrize("kind", KINDS)
def test_the_vectors_are_those_that_were_saved(kind: str, files: dict[str, Path]) -> None:
    expected = keyed_vectors()
    found = read_word_vectors(files[kind], ALL | {"unheard"})
    assert (found.kind, found.width, set(found.vectors)) == ("gensim", WIDTH, set(ALL))
    assert all(np.array_equal(found.vectors[word], expected[word].astype(np.float64)) for word in WORDS)
    assert len(found.sha256) == 64


def test_the_checksum_covers_the_table_beside(files: dict[str, Path], tmp_path: Path) -> None:
    checksums = []
    for number in (0, 1):
        vectors = keyed_vectors()
        vectors.vectors[0, 0] = number
        vectors.save(str(tmp_path / "v"), separately=["vectors"])
        checksums.append(read_word_vectors(tmp_path / "v", ALL).sha256)
    assert checksums[0] != checksums[1]


class _Run:
    """Pickled as a call."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.call


@pytest.mark.parametrize("function", [os.system, os.mkdir, builtins.eval, builtins.exec, builtins.getattr, Path])
@pytest.mark.parametrize("protocol", [2, 4])
def test_a_pickle_that_names_anything_else_is_refused_and_runs_nothing(
    function: object, protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "v").write_bytes(pickle.dumps({"wv": _Run(function, "touched")}, protocol=protocol))
    with pytest.raises(DataError, match="refers to .*, which is not gensim's"):
        read_word_vectors(tmp_path / "v", ALL)
    assert [path.name for path in tmp_path.iterdir()] == ["v"]


def test_gensims_functions_are_not_called(tmp_path: Path) -> None:
    from gensim import utils

    (tmp_path / "other").write_bytes(pickle.dumps(_Run(print, "run")))
    (tmp_path / "v").write_bytes(pickle.dumps(_Run(utils.unpickle, str(tmp_path / "other"))))
    with pytest.raises(DataError, match="holds no word vectors"):
        read_word_vectors(tmp_path / "v", ALL)


def test_a_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    keyed_vectors().save(str(tmp_path / "v"), separately=["vectors"])
    (tmp_path / "v.vectors.npy").unlink()
    with pytest.raises(DataError, match=r"v\.vectors\.npy is not beside it"):
        read_word_vectors(tmp_path / "v", ALL)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (np.zeros((3, WIDTH), np.float32), "is row"),
        (np.zeros(7, np.float32), "no table of floating-point"),
        (np.zeros((7, WIDTH), np.int32), "no table of floating-point"),
        (np.full((7, WIDTH), np.nan, np.float32), "is not finite"),
        (np.full((7, WIDTH), None), "pickle|object"),
    ],
)
def test_another_table_beside_is_refused(table: np.ndarray, said: str, tmp_path: Path) -> None:  # type: ignore[type-arg]
    keyed_vectors().save(str(tmp_path / "v"), separately=["vectors"])
    np.save(tmp_path / "v.vectors.npy", table, allow_pickle=True)
    with pytest.raises(DataError, match=said):
        read_word_vectors(tmp_path / "v", ALL)


def test_a_damaged_header_of_the_table_beside_is_our_error(tmp_path: Path) -> None:
    keyed_vectors().save(str(tmp_path / "v"), separately=["vectors"])
    table = tmp_path / "v.vectors.npy"
    table.write_bytes(table.read_bytes().replace(b"(7, 5)", b"(7, 5("))
    with pytest.raises(DataError, match="damaged"):
        read_word_vectors(tmp_path / "v", ALL)


@settings(max_examples=150)
@given(
    st.sampled_from(KINDS),
    st.booleans(),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(max_size=3), st.integers(0, 3)), max_size=3),
)
def test_changed_bytes_end_in_vectors_or_in_our_error(
    files: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
    kind: str,
    beside: bool,
    changes: list[tuple[float, bytes, int]],
) -> None:
    folder = tmp_path_factory.mktemp("changed")
    tables = [path for path in files[kind].parent.glob(f"{kind}.*") if path.suffix == ".npy"]
    for path in (files[kind], *tables):
        content = path.read_bytes()
        for where, inserted, removed in changes if (path in tables) == (beside and bool(tables)) else []:
            place = int(where * len(content))
            content = content[:place] + inserted + content[place + removed :]
        (folder / path.name).write_bytes(content)
    try:
        found = read_word_vectors(folder / kind, ALL)
    except DataError:
        return
    assert set(found.vectors) <= ALL
    assert all(vector.shape == (found.width,) and np.isfinite(vector).all() for vector in found.vectors.values())
