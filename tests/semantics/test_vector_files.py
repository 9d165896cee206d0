"""Compare word-vector files of every kind with gensim's own reading, and test damaged ones."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest
from gensim.models import KeyedVectors
from hypothesis import given, settings
from hypothesis import strategies as st

from svipctl.errors import DataError
from svipctl.semantics.vector_files import read_word_vectors
from tests.marks import first_fast
from tests.semantics.vector_cases import WIDTH, WORDS, keyed_vectors, write_kinds

KINDS = (
    *("plain.bin", "newlines.bin", "plain.bin.gz", "text.txt", "glove.txt", "text.txt.gz", "glove.txt.gz"),
    "crlf.txt",
)
ALL = frozenset(WORDS)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_kinds(tmp_path_factory.mktemp("vectors"))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_read_as_gensim_reads_it(kind: str, files: dict[str, Path]) -> None:
    path = files[kind]
    read = {"binary": ".bin" in kind, "no_header": kind.startswith("glove")}
    expected = KeyedVectors.load_word2vec_format(str(path), **read)
    found = read_word_vectors(path, ALL)
    assert found.kind == ("word2vec binary" if ".bin" in kind else "text")
    assert found.width == WIDTH
    assert set(found.vectors) == ALL
    for word in WORDS:
        assert found.vectors[word].dtype == np.float64
        # gensim rounds text to float32.
        assert np.array_equal(found.vectors[word].astype(np.float32), expected[word])
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("kind", ["binary", "newlines", "text", "glove"])
@pytest.mark.parametrize("shift", first_fast(range(0, 48, 3), 6))
def test_words_are_read_anywhere_in_a_large_file(kind: str, shift: int, tmp_path: Path) -> None:
    """With words of 8 to 12 bytes and vectors of 28, the end of each read block falls on every place of a record."""
    rng = np.random.default_rng(shift)
    table = rng.standard_normal((20_000, 7)).astype(np.float32)
    words = ["x" * (shift + 1), *(f"größe{number}" for number in range(1, len(table)))]
    end = "\n" if kind == "newlines" else ""
    with (tmp_path / "v").open("wb") as file:
        if kind != "glove":
            file.write(f"{len(words)} 7\n".encode())
        for word, vector in zip(words, table):
            if kind in ("text", "glove"):
                file.write(f"{word} {' '.join(map(repr, vector.tolist()))}\n".encode())
            else:
                file.write(word.encode() + b" " + vector.tobytes() + end.encode())
    found = read_word_vectors(tmp_path / "v", frozenset(words))
    assert found.sha256 == hashlib.sha256((tmp_path / "v").read_bytes()).hexdigest()
    assert list(found.vectors) == words
    assert np.array_equal(np.stack(list(found.vectors.values())), table)


def test_only_requested_words_are_kept_and_unknown_ones_are_dropped(files: dict[str, Path]) -> None:
    for kind in KINDS:
        assert set(read_word_vectors(files[kind], frozenset({"red", "of", "unheard"})).vectors) == {"red", "of"}


@pytest.mark.parametrize("binary", [True, False])
def test_the_first_vector_of_a_repeated_word_is_used(binary: bool, files: dict[str, Path], tmp_path: Path) -> None:
    first, second = (tmp_path / "first", tmp_path / "second")
    keyed_vectors(0).save_word2vec_format(str(first), binary=binary)
    keyed_vectors(1).save_word2vec_format(str(second), binary=binary)
    behind = second.read_bytes().partition(b"\n")[2]
    both = f"{2 * len(WORDS)} {WIDTH}\n".encode() + first.read_bytes().partition(b"\n")[2] + behind
    (tmp_path / "both").write_bytes(both)
    expected = KeyedVectors.load_word2vec_format(str(tmp_path / "both"), binary=binary)
    found = read_word_vectors(tmp_path / "both", ALL)
    assert all(np.array_equal(found.vectors[word].astype(np.float32), expected[word]) for word in WORDS)


def test_text_keeps_every_digit(tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text("red 0.1234567890123456 -1e-17\nof 1 2\n")
    assert read_word_vectors(tmp_path / "v.txt", ALL).vectors["red"].tolist() == [0.1234567890123456, -1e-17]


def test_glove_words_with_spaces_are_not_reduced_to_their_first_part(tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text("a 1 2\nof name@domain.com 3 4\nof 5 6\n\n")
    found = read_word_vectors(tmp_path / "v.txt", ALL)
    assert (found.vectors["of"].tolist(), found.width) == ([5, 6], 2)


def test_progress_ends_with_the_whole_file(files: dict[str, Path]) -> None:
    calls: list[tuple[int, int]] = []
    for kind in KINDS:
        read_word_vectors(files[kind], ALL, lambda done, total: calls.append((done, total)))
        size = files[kind].stat().st_size
        assert calls[-1] == (size, size)


def damaged(files: dict[str, Path]) -> dict[str, tuple[bytes, str]]:
    """Return name of the damage -> the bytes, and the reported reason."""
    binary, text = files["plain.bin"].read_bytes(), files["text.txt"].read_bytes()
    nan = np.array([np.nan], "<f4").tobytes()
    place = binary.index(b"bill ") + 5
    size = 4 * WIDTH
    return {
        "empty": (b"", "starts neither"),
        "html": (b"<!doctype html><p>404</p>\n", "starts neither"),
        "zip": (b"PK\x03\x04" + bytes(50), "zip archive"),
        "cut binary": (binary[:-3], "it ends in word 7 of 7"),
        "cut in a word": (binary[: place - 3], "it ends in word 2 of 7"),
        "too many promised": (binary.replace(b"7 5\n", b"9 5\n", 1), "it ends in word 8 of 9"),
        "too few promised": (binary.replace(b"7 5\n", b"6 5\n", 1), "continues after the 6 words"),
        "narrower": (binary.replace(b"7 5\n", b"7 4\n", 1), "word|continues"),
        "wider": (binary.replace(b"7 5\n", b"7 6\n", 1), "it ends in word"),
        "no width": (binary.replace(b"7 5\n", b"7 0\n", 1), "vectors have 0 numbers"),
        "absurd width": (binary.replace(b"7 5\n", b"7 500000\n", 1), "vectors have 500000 numbers"),
        "not a number": (binary[:place] + nan + binary[place + 4 :], r"'bill' \(word 2\) is not finite"),
        "infinite": (b"1 1\nred \x00\x00\x80\x7f", r"'red' \(word 1\) is not finite"),
        "no spaces": (b"2 5\n" + bytes(9000), "word 1 has no end"),
        "far space": (b"2 5\n" + bytes(5000) + b" " + bytes(2 * size), "word 1 has no end"),
        "text cut by a line": (text[: text.rindex(b"\nof ") + 1], "says 7 words, there are 6"),
        "text cut in a line": (text.rstrip()[:-30], "numbers, not 5"),
        "text with more lines": (text + b"more 1 2 3 4 5\n", "says 7 words, there are 8"),
        "text with a wrong number": (b"a 1 2\nred 1 x\n", "line 2: 'x' is not a number"),
        "text not a number": (b"a 1 2\nred 1 nan\n", "line 2: nan is not a finite number"),
        "text of other digits": ("a 1 2\nred 1 ١\n".encode(), "line 2: .*ascii"),
        "text of Python's digits": (b"a 1 2\nred 1 1_0\n", "line 2: '1_0' is not a number"),
        "header and a wrong number": (b"1 2\nred 1_000 1\n", "line 2: '1_000' is not a number"),
        "header of another width": (b"1 3\nred 1.00 2.000\n", "line 2 has 2 numbers, not 3"),
        "bomb of empty lines": (gzip.compress(b"a 1 2\n" + b"\n" * 2**25), "unpacks to more than"),
        "text narrower": (b"a 1 2\nred 1\n", "line 2 has 1 numbers, not 2"),
        "text of one long line": (b"a 1 2\n" + b"1 " * 2**20, "a line is too long"),
        "cut gzip": (gzip.compress(binary)[:-9], "ended before the end-of-stream"),
        "gzip of another checksum": (gzip.compress(binary)[:-8] + bytes(8), "CRC|check"),
        "gzip of nothing": (gzip.compress(b""), "starts neither"),
        "gzip garbage": (b"\x1f\x8b" + bytes(100), "compression|gzip"),
    }


DAMAGES = (
    *("empty", "html", "zip", "cut binary", "cut in a word", "too many promised", "too few promised", "narrower"),
    *("wider", "no width", "absurd width", "not a number", "infinite", "no spaces", "far space", "text cut by a line"),
    *("text cut in a line", "text with more lines", "text with a wrong number", "text not a number", "text narrower"),
    *("header and a wrong number", "header of another width"),
    *("text of other digits", "text of Python's digits", "bomb of empty lines"),
    *("text of one long line", "cut gzip", "gzip of another checksum", "gzip of nothing", "gzip garbage"),
)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_reported_with_its_place(damage: str, files: dict[str, Path], tmp_path: Path) -> None:
    cases = damaged(files)
    assert set(cases) == set(DAMAGES)
    content, said = cases[damage]
    (tmp_path / "v").write_bytes(content)
    with pytest.raises(DataError, match=said) as caught:
        read_word_vectors(tmp_path / "v", ALL)
    assert "is not a complete word-vector file" in caught.value.what


def test_a_missing_file_and_a_folder_are_data_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no word-vector file"):
        read_word_vectors(tmp_path / "none", ALL)
    with pytest.raises(DataError, match="is a folder"):
        read_word_vectors(tmp_path, ALL)


def test_an_invalid_vector_of_an_unrequested_word_is_ignored(files: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "v").write_bytes(damaged(files)["not a number"][0])
    assert set(read_word_vectors(tmp_path / "v", ALL - {"bill"}).vectors) == ALL - {"bill"}


@settings(max_examples=150)
@given(
    st.sampled_from(KINDS),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(max_size=3), st.integers(0, 3)), max_size=4),
)
def test_changed_bytes_give_vectors_or_a_data_error(
    files: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
    kind: str,
    changes: list[tuple[float, bytes, int]],
) -> None:
    content = files[kind].read_bytes()
    for where, inserted, removed in changes:
        place = int(where * len(content))
        content = content[:place] + inserted + content[place + removed :]
    path = tmp_path_factory.getbasetemp() / "changed"
    path.write_bytes(content)
    try:
        found = read_word_vectors(path, ALL)
    except DataError:
        return
    assert set(found.vectors) <= ALL
    assert all(vector.shape == (found.width,) and np.isfinite(vector).all() for vector in found.vectors.values())


@settings(max_examples=100)
@given(st.binary(max_size=300), st.sampled_from([b"", b"2 3\n", b"\x1f\x8b", b"\x80\x04"]))
def test_any_bytes_give_vectors_or_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, start: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(start + content)
    try:
        found = read_word_vectors(path, ALL)
    except DataError:
        return
    assert set(found.vectors) <= ALL
