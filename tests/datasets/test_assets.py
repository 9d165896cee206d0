"""Test the manifest: complete, and an invalid replacement is refused with its place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from svipctl.datasets.fetch.assets import assets_of, built_in, manifest
from svipctl.errors import ConfigError

ENTRY = '[cub-images]\nfile = "c.tgz"\nkind = "tar.gz"\nmirrors = ["http://a/c.tgz"]\ndatasets = ["cub"]\n'


def test_every_benchmark_has_its_archives_and_each_archive_declares_what_it_needs() -> None:
    assert {name: {asset.file for asset in assets_of(name, built_in())} for name in ("cub", "awa2", "sun")} == {
        "cub": {"CUB_200_2011.tgz", "xlsa17.zip"},
        "awa2": {"AwA2-data.zip", "AwA2-base.zip", "xlsa17.zip"},
        "sun": {"SUNAttributeDB_Images.tar.gz", "SUNAttributeDB.tar.gz", "xlsa17.zip"},
    }
    for asset in built_in().values():
        assert asset.bytes_to_fetch > 0, asset.name
        assert asset.licence != "unknown", asset.name
        assert all(address.endswith(f"/{asset.file}") for address in asset.mirrors), asset.name
        assert not asset.datasets or asset.unpacked > asset.bytes_to_fetch, "the limit admits the archive itself"


def test_only_the_files_of_one_benchmark_are_unpacked_from_the_proposed_splits() -> None:
    splits = built_in()["proposed-splits"]
    assert all("/AWA2/" in pattern for pattern in splits.patterns("awa2"))
    assert all("/CUB/" in pattern for pattern in splits.patterns("cub"))


def test_small_archives_come_first(tmp_path: Path) -> None:
    sizes = [asset.bytes_to_fetch for asset in assets_of("awa2", built_in())]
    assert sizes == sorted(sizes)


def test_a_file_replaces_only_the_entries_it_names(tmp_path: Path) -> None:
    path = tmp_path / "mirror.toml"
    path.write_text(ENTRY)
    found = manifest(path)
    assert found["cub-images"].file == "c.tgz"
    assert found["cub-images"].md5 is None
    assert {name: asset for name, asset in found.items() if name != "cub-images"} == {
        name: asset for name, asset in built_in().items() if name != "cub-images"
    }
    assert manifest() == built_in()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[cub-images\n", "cannot be read"),
        (ENTRY.replace("tar.gz", "rar"), "cub-images.kind"),
        (ENTRY + 'md5 = "abc"\n', "cub-images.md5"),
        (ENTRY + "size = -1\n", "cub-images.size"),
        (ENTRY + "sise = 1\n", "cub-images.sise"),
        (ENTRY.replace('"c.tgz"', '"../c.tgz"'), "cub-images.file"),
        (ENTRY.replace("[cub-images]", '["../../outside"]'), "../../outside.name"),
        (ENTRY + 'name = "/outside"\n', "cub-images.name"),
        (ENTRY.replace('"http://a/c.tgz"', ""), "cub-images.mirrors"),
        ("[cub-images]\n", "cub-images.file"),
        ("a = 1\n", "is not valid"),
    ],
)
def test_an_invalid_file_is_refused_with_the_place(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "mirror.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        manifest(path)
    assert words in str(caught.value)
    assert str(path) in caught.value.what


@pytest.mark.parametrize("path", ["gone.toml", "folder", "pipe", "/dev/zero", "x" * 300, "a\0b"])
def test_an_unreadable_file_is_refused(tmp_path: Path, path: str) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError):
        manifest(tmp_path / path)


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    path = tmp_path / "mirror.toml"
    path.write_text(ENTRY.replace("tar.gz", "rar") + "size = 0\n[other]\n")
    with pytest.raises(ConfigError) as caught:
        manifest(path)
    assert {line.partition(":")[0] for line in caught.value.why.splitlines()} >= {
        "cub-images.kind",
        "cub-images.size",
        "other.file",
    }


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.one_of(st.binary(max_size=200), st.binary(max_size=9).map(lambda more: ENTRY.encode() + more)))
def test_any_file_is_a_manifest_or_a_configuration_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mirror.toml"
    path.write_bytes(content)
    try:
        found = manifest(path)
    except ConfigError:
        return
    assert set(found) >= set(built_in())
