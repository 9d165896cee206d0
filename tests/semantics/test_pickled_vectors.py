"""Test that gensim's own files, which are pickles, are refused unread with the command that converts them."""

from __future__ import annotations

import builtins
import gzip
import os
import pickle
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from svipctl.errors import DataError
from svipctl.semantics.vector_files import read_word_vectors
from tests.marks import first_fast
from tests.semantics.vector_cases import WORDS, keyed_vectors, write_gensim_kinds

KINDS = ("keyed", "keyed_beside", "keyed.gz", "model", "model_beside")
ALL = frozenset(WORDS)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_gensim_kinds(tmp_path_factory.mktemp("it's $HOME"))


@pytest.mark.parametrize("kind", first_fast(KINDS))
def test_the_error_names_a_command_that_converts_the_file_without_loss(kind: str, files: dict[str, Path]) -> None:
    with pytest.raises(DataError, match="is a pickle") as refused:
        read_word_vectors(files[kind], ALL)
    python, *arguments = shlex.split(refused.value.todo)
    assert python == "python"
    subprocess.run([sys.executable, *arguments], check=True)
    expected = keyed_vectors()
    found = read_word_vectors(Path(f"{files[kind]}.bin"), ALL)
    assert set(found.vectors) == ALL
    assert all(np.array_equal(found.vectors[word], expected[word].astype(np.float64)) for word in WORDS)


class _Run:
    """Object that is pickled as a call."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.call


@pytest.mark.parametrize("function", [os.system, os.mkdir, builtins.eval, builtins.exec, builtins.getattr, Path])
@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_pickle_is_refused_and_not_executed(
    function: object, protocol: int, pack: type[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "v").write_bytes(pack(pickle.dumps({"wv": _Run(function, "touched")}, protocol=protocol)))
    with pytest.raises(DataError):
        read_word_vectors(tmp_path / "v", ALL)
    assert [path.name for path in tmp_path.iterdir()] == ["v"]
