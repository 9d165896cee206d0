"""Test the choices of `--vectors`, and vectors that are downloaded first."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from svipctl.datasets.fetch.assets import Asset
from svipctl.errors import ConfigError, DataError, NetworkError
from svipctl.semantics.build import Source, build_matrix, choose_source
from tests.datasets.faulty_server import Answer, faulty_server

CONTENT = gzip.compress(b"3 2\nbill 1 0\ncolor 0 1\nred 2 2\n", mtime=0)
NAMES = ["has_bill_color::red", "has_tail"]


def test_each_choice_has_its_source(tmp_path: Path) -> None:
    (tmp_path / "v.bin").touch()
    assert choose_source("toybirds", None, tmp_path, offline=True).path is None
    assert choose_source("toybirds", str(tmp_path / "v.bin"), tmp_path, offline=True).name == "v.bin"
    named = choose_source("cub", "word2vec-google-news-300", tmp_path, offline=False)
    assert named.path == tmp_path / ".vectors" / "word2vec-google-news-300.gz"
    assert named.name == "word2vec-google-news-300"
    with pytest.raises(ConfigError, match="glove-wiki-gigaword-300"):
        choose_source("cub", None, tmp_path, offline=False)
    with pytest.raises(DataError, match="there is no file"):
        choose_source("cub", "x", tmp_path, offline=False)


def test_offline_a_known_name_is_read_from_the_disk_or_refused(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match="disabled"):
        choose_source("cub", "glove-wiki-gigaword-50", tmp_path, offline=True)
    path = tmp_path / ".vectors" / "glove-wiki-gigaword-50.gz"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    source = choose_source("cub", "glove-wiki-gigaword-50", tmp_path, offline=True)
    assert build_matrix("cub", NAMES, source).vectors.tolist() == [[3, 3], [0, 0]]


def test_vectors_are_downloaded_once_and_kept(tmp_path: Path) -> None:
    with faulty_server() as server:
        server.files["/v.gz"] = CONTENT
        asset = Asset(name="v", file="v.gz", kind="gz", mirrors=(f"{server.address}/v.gz",), size=len(CONTENT))
        source = Source(tmp_path / ".vectors" / "v.gz", asset)
        built = [build_matrix("cub", NAMES, source) for _ in range(2)]
        assert len(server.requests) == 1
    assert [matrix.vectors.tolist() for matrix in built] == [[[3, 3], [0, 0]]] * 2
    assert (built[0].source, built[0].unknown) == ("v", ("tail",))


def test_a_download_that_is_not_a_vector_file_is_refused_and_deleted(tmp_path: Path) -> None:
    with faulty_server() as server:
        server.always["/v.gz"] = Answer(content=b"<!DOCTYPE html>moved")
        asset = Asset(name="v", file="v.gz", kind="gz", mirrors=(f"{server.address}/v.gz",))
        source = Source(tmp_path / ".vectors" / "v.gz", asset)
        with pytest.raises(NetworkError, match="<!DOCTYPE html>"):
            build_matrix("cub", NAMES, source)
    assert not (tmp_path / ".vectors" / "v.gz").exists()
