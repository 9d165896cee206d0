"""Unpacking what comes from the network: nothing outside the folder, nothing half-done, nothing but our own errors."""

from __future__ import annotations

import contextlib
import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from svipctl.datasets.archive import unpack
from svipctl.datasets.assets import Asset
from svipctl.errors import DataError, ResourceError
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
def test_files_arrive_as_packed_and_junk_stays_out(tmp_path: Path, kind: str) -> None:
    make = tar_of if kind == "tar.gz" else zip_of
    archive = make(tmp_path / "a", *GOOD, ("__MACOSX/x", b"x"), ("folder/._one.txt", b"x"), ("folder/.DS_Store", b"x"))
    assert unpack(archive, tmp_path / "out", asset(kind), dataset="cub") == 3
    assert files_under(tmp_path / "out") == {"folder/one.txt": b"one", "folder/two.txt": b"two" * 100, "three.txt": b""}


def test_only_members_of_the_patterns_are_unpacked(tmp_path: Path) -> None:
    archive = zip_of(tmp_path / "a", ("x/CUB/a.mat", b"1"), ("x/SUN/a.mat", b"2"), ("x/CUB/b.txt", b"3"))
    unpack(archive, tmp_path / "out", asset("zip", keep=("x/{SPLIT}/*.mat",)), dataset="cub")
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
        special("link", tarfile.SYMTYPE, "/etc/passwd"),
        special("link", tarfile.SYMTYPE, "folder/one.txt"),
        special("hard", tarfile.LNKTYPE, "folder/one.txt"),
        special("device", tarfile.CHRTYPE),
        special("block", tarfile.BLKTYPE),
        special("pipe", tarfile.FIFOTYPE),
    ],
    ids=lambda member: repr(member[0])[:20] if isinstance(member, tuple) else f"{member.name}-{member.linkname}",
)
def test_a_harmful_member_is_refused_and_nothing_is_left(tmp_path: Path, member: Entry | tarfile.TarInfo) -> None:
    (tmp_path / "in").mkdir()
    archives = [("tar.gz", tar_of(tmp_path / "in" / "a.tgz", *GOOD, member))]
    if isinstance(member, tuple) and member[0] != "folder/one.txt":
        archives.append(("zip", zip_of(tmp_path / "in" / "a.zip", *GOOD, member)))
    for kind, archive in archives:
        with pytest.raises(DataError, match="is refused"):
            unpack(archive, tmp_path / "in" / "out", asset(kind), dataset="cub")
        assert not (tmp_path / "in" / "out").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_names_that_are_spelt_alike_on_some_disks_are_refused(tmp_path: Path) -> None:
    archive = tar_of(tmp_path / "a", ("caf\u00e9.txt", b"1"), ("cafe\u0301.txt", b"2"))
    with pytest.raises(DataError, match="is refused"):
        unpack(archive, tmp_path / "out", asset("tar.gz"), dataset="cub")


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_more_members_or_bytes_than_promised_are_a_bomb(tmp_path: Path, kind: str) -> None:
    make = tar_of if kind == "tar.gz" else zip_of
    many = make(tmp_path / "many", *((f"{n}", b"") for n in range(21)))
    big = make(tmp_path / "big", ("zeros", bytes(10_001)))
    for archive, why in ((many, "more than 20 members"), (big, "more than 10,000 bytes")):
        with pytest.raises(DataError) as refused:
            unpack(archive, tmp_path / "out", asset(kind), dataset="cub")
        assert why in refused.value.why
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_an_archive_cut_short_is_damaged_and_nothing_is_left(tmp_path: Path, kind: str) -> None:
    make = tar_of if kind == "tar.gz" else zip_of
    archive = make(tmp_path / "a", *GOOD)
    content = archive.read_bytes()
    for length in (0, 10, len(content) // 2, len(content) - 20):
        archive.write_bytes(content[:length])
        with pytest.raises(DataError, match="damaged"):
            unpack(archive, tmp_path / "out", asset(kind), dataset="cub")
        assert not (tmp_path / "out").exists()


def test_a_wrong_crc_is_damage(tmp_path: Path) -> None:
    archive = tmp_path / "a"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("one", b"original")
    archive.write_bytes(archive.read_bytes().replace(b"original", b"changed!"))
    with pytest.raises(DataError, match="damaged"):
        unpack(archive, tmp_path / "out", asset("zip"), dataset="cub")


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_a_full_disk_keeps_what_is_unpacked_and_the_next_try_finishes(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = tar_of if kind == "tar.gz" else zip_of
    archive = make(tmp_path / "a", *GOOD)
    replace = Path.replace

    def full(self: Path, target: Path) -> Path:
        if target.name == "two.txt":
            raise OSError(28, "No space left on device")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(ResourceError):
        unpack(archive, tmp_path / "out", asset(kind), dataset="cub")
    monkeypatch.undo()
    assert (tmp_path / "out" / "folder" / "one.txt").exists()
    assert unpack(archive, tmp_path / "out", asset(kind), dataset="cub") == 3
    assert len([path for path in files_under(tmp_path / "out") if not path.endswith(".part")]) == 3


def test_a_consumed_zip_gives_its_room_back_and_can_be_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("svipctl.datasets.archive._FREE_EVERY", 1)
    archive = tmp_path / "a.zip"
    contents = {f"{n}.bin": bytes([n]) * 200_000 for n in range(10)}
    with zipfile.ZipFile(archive, "w") as packed:
        for name, content in contents.items():
            packed.writestr(name, content)
    before = archive.stat().st_blocks
    limits = asset("zip", unpacked=3_000_000)
    unpack(archive, tmp_path / "out", limits, dataset="cub", consume=True)
    assert files_under(tmp_path / "out") == contents
    if archive.stat().st_blocks == before:
        pytest.skip("this disk cannot make holes")
    assert archive.stat().st_blocks < before / 4
    assert unpack(archive, tmp_path / "out", limits, dataset="cub", consume=True) == 10
    assert files_under(tmp_path / "out") == contents


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["tar.gz", "zip"]),
    names=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20), max_size=4),
    changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=6),
    length=st.integers(0, 10**6),
)
def test_any_archive_unpacks_inside_or_is_our_own_error(
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
        unpack(archive, place / "out", asset(kind), dataset="cub")
    assert {path.name for path in tmp_path.iterdir()} == {"place"}
    assert {path.name for path in place.iterdir()} <= {"a", "out"}
