"""Test unpacking downloaded archives: no file outside the folder, no partial result, and only SvipErrors."""

from __future__ import annotations

import contextlib
import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from svipctl.datasets.fetch.archive import unpack, verify_archive
from svipctl.datasets.fetch.assets import Asset
from svipctl.errors import DataError, ResourceError
from tests.faults import full_disk
from tests.processes import files_under

Entry = tuple[str, bytes]


def asset(kind: str, **changed: object) -> Asset:
    values = {"name": "a", "file": f"a.{kind}", "kind": kind, "mirrors": ("http://localhost/a",)}
    return Asset.model_validate(values | {"members": 20, "unpacked": 10_000} | changed)


def tar_of(path: Path, *entries: Entry | tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                tar.addfile(entry)
                continue
            member = tarfile.TarInfo(entry[0])
            member.size = len(entry[1])
            tar.addfile(member, io.BytesIO(entry[1]))
    return path


def zip_of(path: Path, *entries: Entry) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in entries:
            packed.writestr(zipfile.ZipInfo(name), content)
    return path


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


GOOD: tuple[Entry, ...] = (("folder/one.txt", b"one"), ("folder/two.txt", b"two" * 100), ("./three.txt", b""))


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_files_are_unpacked_as_packed_and_junk_is_not(tmp_path: Path, kind: str) -> None:
    make = tar_of if kind == "tar.gz" else zip_of
    archive = make(tmp_path / "a", *GOOD, ("__MACOSX/x", b"x"), ("folder/._one.txt", b"x"), ("folder/.DS_Store", b"x"))
    unpack(archive, tmp_path / "out", asset(kind), "cub")
    assert files_under(tmp_path / "out") == {"folder/one.txt": b"one", "folder/two.txt": b"two" * 100, "three.txt": b""}


def test_only_members_that_match_the_patterns_are_unpacked(tmp_path: Path) -> None:
    archive = zip_of(tmp_path / "a", ("x/CUB/a.mat", b"1"), ("x/SUN/a.mat", b"2"), ("x/CUB/b.txt", b"3"))
    unpack(archive, tmp_path / "out", asset("zip", keep=("x/{SPLIT}/*.mat",)), "cub")
    assert files_under(tmp_path / "out") == {"x/CUB/a.mat": b"1"}


@pytest.mark.parametrize(
    "member",
    [
        ("../escaped.txt", b"x"),
        ("folder/../../escaped.txt", b"x"),
        ("/escaped.txt", b"x"),
        ("C:/escaped.txt", b"x"),
        ("..\\escaped.txt", b"x"),
        ("Folder/ONE.txt", b"x"),
        ("folder/one.txt/inside", b"x"),
        ("folder", b"x"),
        ("folder/one.txt", b"x"),
        ("line\nbreak", b"x"),
        ("n" * 300, b"x"),
        ("n/" * 300 + "n", b"x"),
        special("link", tarfile.SYMTYPE, "/etc/passwd"),
        special("link", tarfile.SYMTYPE, "folder/one.txt"),
        special("hard", tarfile.LNKTYPE, "folder/one.txt"),
        special("device", tarfile.CHRTYPE),
        special("block", tarfile.BLKTYPE),
        special("pipe", tarfile.FIFOTYPE),
    ],
    ids=lambda member: repr(member[0])[:20] if isinstance(member, tuple) else f"{member.name}-{member.linkname}",
)
def test_a_harmful_member_is_refused_and_leaves_no_files(tmp_path: Path, member: Entry | tarfile.TarInfo) -> None:
    (tmp_path / "in").mkdir()
    archives = [("tar.gz", tar_of(tmp_path / "in" / "a.tgz", *GOOD, member))]
    if isinstance(member, tuple) and member[0] != "folder/one.txt":
        archives.append(("zip", zip_of(tmp_path / "in" / "a.zip", *GOOD, member)))
    for kind, archive in archives:
        with pytest.raises(DataError, match="is refused"):
            unpack(archive, tmp_path / "in" / "out", asset(kind), "cub")
        assert not (tmp_path / "in" / "out").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_names_that_are_equal_on_some_file_systems_are_refused(tmp_path: Path) -> None:
    archive = tar_of(tmp_path / "a", ("caf\u00e9.txt", b"1"), ("cafe\u0301.txt", b"2"))
    with pytest.raises(DataError, match="is refused"):
        unpack(archive, tmp_path / "out", asset("tar.gz"), "cub")


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_more_members_or_bytes_than_declared_are_refused(tmp_path: Path, kind: str) -> None:
    make = tar_of if kind == "tar.gz" else zip_of
    many = make(tmp_path / "many", *((f"{n}", b"") for n in range(21)))
    big = make(tmp_path / "big", ("zeros", bytes(10_001)))
    for archive, why in ((many, "more than 20 members"), (big, "more than 10,000 bytes")):
        with pytest.raises(DataError) as refused:
            unpack(archive, tmp_path / "out", asset(kind), "cub")
        assert why in refused.value.why
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_a_truncated_archive_is_damaged_and_leaves_no_files(tmp_path: Path, kind: str) -> None:
    make = tar_of if kind == "tar.gz" else zip_of
    archive = make(tmp_path / "a", *GOOD)
    content = archive.read_bytes()
    for length in (0, 10, len(content) // 2, len(content) - 20):
        archive.write_bytes(content[:length])
        with pytest.raises(DataError, match="damaged"):
            unpack(archive, tmp_path / "out", asset(kind), "cub")
        assert not (tmp_path / "out").exists()


def test_a_wrong_crc_is_damage(tmp_path: Path) -> None:
    archive = tmp_path / "a"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("one", b"original")
    archive.write_bytes(archive.read_bytes().replace(b"original", b"changed!"))
    with pytest.raises(DataError, match="damaged"):
        unpack(archive, tmp_path / "out", asset("zip"), "cub")


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
@pytest.mark.parametrize("after", range(1, 7))
def test_a_full_disk_leaves_no_partial_files_and_the_next_attempt_finishes(
    tmp_path: Path, kind: str, after: int
) -> None:
    make = tar_of if kind == "tar.gz" else zip_of
    archive, out = make(tmp_path / "a", *GOOD), tmp_path / "place" / "out"
    with full_disk(tmp_path / "place", after=after), pytest.raises(ResourceError, match="no space left"):
        unpack(archive, out, asset(kind), "cub")
    assert not out.exists()
    unpack(archive, out, asset(kind), "cub")
    assert files_under(tmp_path / "place") == {
        "out/folder/one.txt": b"one",
        "out/folder/two.txt": b"two" * 100,
        "out/three.txt": b"",
    }


def damaged_archives() -> dict[str, tuple[str, bytes]]:
    """Return damaged archives that a reader accepts if it stops at the last requested member."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name in ("one", "two"):
            member = tarfile.TarInfo(name)
            member.size = 600
            tar.addfile(member, io.BytesIO(bytes(range(200)) * 3))
    tar = content.getvalue()
    packed = gzip.compress(tar, mtime=0)
    second = 3 * 512  # offset of the second header
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("one", b"wanted")
        archive.writestr("two", b"original")
    return {
        "wrong CRC of the stream": ("tar.gz", packed[:-8] + bytes(4) + packed[-4:]),
        "wrong length of the stream": ("tar.gz", packed[:-4] + bytes(4)),
        "garbage behind the stream": ("tar.gz", packed + b"garbage"),
        "no end mark": ("tar.gz", gzip.compress(tar[: 6 * 512])),
        "ends in a header": ("tar.gz", gzip.compress(tar[: second + 100])),
        "damaged header": ("tar.gz", gzip.compress(tar[:second] + b"x" + tar[second + 1 :])),
        "a header of gigabytes": ("tar.gz", gzip.compress(huge_header() + tar)),
        "wrong CRC of a member": ("zip", zipped.getvalue().replace(b"original", b"changed!")),
        "a directory elsewhere": ("zip", zipped.getvalue()[:-6] + b"\xff\xff\0\0" + zipped.getvalue()[-2:]),
        "truncated gz": ("gz", gzip.compress(tar)[:-1]),
    }


def huge_header() -> bytes:
    member = tarfile.TarInfo("pax")
    member.type, member.size = tarfile.XHDTYPE, 2**31
    return member.tobuf()


@pytest.mark.parametrize("name", damaged_archives())
def test_an_archive_is_read_to_its_end_and_all_its_checksums_are_compared(tmp_path: Path, name: str) -> None:
    kind, content = damaged_archives()[name]
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        verify_archive(tmp_path / "a", asset(kind))
    if kind != "gz":
        with pytest.raises(DataError, match="damaged"):
            unpack(tmp_path / "a", tmp_path / "out", asset(kind, keep=("one",)), "cub")
        assert not (tmp_path / "out").exists()


def test_unusual_members_of_a_zip_are_refused(tmp_path: Path) -> None:
    for attributes in (0o120777, 0o020666, 0o010666):
        member = zipfile.ZipInfo("special")
        member.external_attr = attributes << 16
        with zipfile.ZipFile(tmp_path / "a", "w") as packed:
            packed.writestr(member, b"/etc/passwd")
        with pytest.raises(DataError, match="is refused"):
            unpack(tmp_path / "a", tmp_path / "out", asset("zip"), "cub")
    with zipfile.ZipFile(tmp_path / "a", "w", zipfile.ZIP_LZMA) as packed:
        packed.writestr("one", b"one")
    with pytest.raises(DataError, match="damaged") as caught:
        unpack(tmp_path / "a", tmp_path / "out", asset("zip"), "cub")
    assert "unusual method" in caught.value.why


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["tar.gz", "zip"]),
    names=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20), max_size=4),
    changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=6),
    length=st.integers(0, 10**6),
)
def test_any_archive_unpacks_inside_the_folder_or_is_a_data_error(
    tmp_path: Path, kind: str, names: list[str], changes: list[tuple[int, int]], length: int
) -> None:
    place = tmp_path / "place"
    place.mkdir(exist_ok=True)
    make = tar_of if kind == "tar.gz" else zip_of
    archive = make(place / "a", *((name, name.encode()) for name in names))
    content = bytearray(archive.read_bytes())
    for where, value in changes:
        content[where % len(content)] = value
    archive.write_bytes(content[: max(1, length % (3 * len(content)))])
    with contextlib.suppress(DataError, ResourceError):
        unpack(archive, place / "out", asset(kind), "cub")
    assert {path.name for path in tmp_path.iterdir()} == {"place"}
    assert {path.name for path in place.iterdir()} <= {"a", "out"}
