"""Test fetching a benchmark's archives from a server: faults, kills and Ctrl-C, on small archives of the same form."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import random
import signal
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from svipctl.datasets.fetch.assets import Asset, Manifest
from svipctl.datasets.fetch.install import fetch
from svipctl.datasets.fetch.steps import bytes_needed, plan_fetch
from svipctl.datasets.matlab import read_mat
from svipctl.errors import ConfigError, DataError, NetworkError, ResourceError, SvipError
from tests.datasets.faulty_server import HTML, Answer, FaultyServer, faulty_server
from tests.datasets.patience import SLEEPLESS
from tests.faults import disk_fault, full_disk
from tests.processes import FORKS, clean_environment, files_under

IMAGES, SPLITS = "/CUB_200_2011.tgz", "/xlsa17.zip"


def tar_of(members: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz", compresslevel=1) as tar:
        for name, value in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(value)
            tar.addfile(member, io.BytesIO(value))
    return content.getvalue()


def zip_of(members: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as packed:
        for name, value in members.items():
            packed.writestr(zipfile.ZipInfo(name), value)
    return content.getvalue()


def mat_of(**values: object) -> bytes:
    content = io.BytesIO()
    savemat(content, values)
    return content.getvalue()


RANDOM = random.Random(3)
CUB = {"attributes.txt": b"1 a::b\n"} | {
    f"CUB_200_2011/images/{number % 7}/{number}.jpg": RANDOM.randbytes(15_000) for number in range(40)
}
RES101 = mat_of(
    image_files=np.array([["a.jpg"], ["b.jpg"]], dtype=object),
    labels=np.array([[1], [2]]),
    features=np.frombuffer(RANDOM.randbytes(80_000), dtype=np.uint8),
)
XLSA17 = {f"xlsa17/data/{name}/res101.mat": RES101 for name in ("CUB", "SUN")} | {
    "xlsa17/data/CUB/att_splits.mat": b"splits",
    "xlsa17/data/CUB/allclasses.txt": b"classes",
    "xlsa17/code/demo.m": b"code",
}


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with faulty_server() as served, SLEEPLESS.applied():
        served.files = {IMAGES: tar_of(CUB), SPLITS: zip_of(XLSA17)}
        yield served


def manifest_of(server: FaultyServer) -> Manifest:
    keep = ("xlsa17/data/{SPLIT}/*",)
    common = {"datasets": ("cub",), "members": 100, "unpacked": 10**7}
    entries = [
        {"name": "cub-images", "file": IMAGES[1:], "kind": "tar.gz", "mirrors": (server.address + IMAGES,)},
        {"name": "proposed-splits", "file": SPLITS[1:], "kind": "zip", "mirrors": (server.address + SPLITS,)}
        | {"keep": keep},
    ]
    return {str(entry["name"]): Asset.model_validate(entry | common) for entry in entries}


def fetch_cub(manifest: Manifest, data_dir: Path, source: Path | None = None, keep_archives: bool = False) -> None:
    steps = plan_fetch(["cub"], data_dir, source=source, manifest=manifest)
    fetch(steps, data_dir, keep_archives=keep_archives)


def installed(data_dir: Path) -> dict[str, bytes]:
    """Return the files, without the lock and the stamps, which contain the time."""
    found = files_under(data_dir)
    return {name: content for name, content in found.items() if "/.assets/" not in name and name != ".fetch.lock"}


def assert_complete(data_dir: Path) -> None:
    found = installed(data_dir)
    splits = "cub/xlsa17/data/CUB/"
    assert {name: found[f"cub/{name}"] for name in CUB} == CUB
    assert set(found) == {f"cub/{name}" for name in CUB} | {
        splits + name for name in ("res101.mat", "att_splits.mat", "allclasses.txt")
    }, "nothing that is not needed, and nothing left over"
    stamps = {path.stem: json.loads(path.read_text()) for path in (data_dir / "cub" / ".assets").iterdir()}
    assert set(stamps) == {"cub-images", "proposed-splits"}
    for stamp in stamps.values():
        assert {f"cub/{name}": size for name, size in stamp["files"].items()}.items() <= {
            name: len(content) for name, content in found.items()
        }.items()


def test_a_benchmark_is_fetched_once_and_leaves_no_other_files(server: FaultyServer, tmp_path: Path) -> None:
    manifest = manifest_of(server)
    fetch_cub(manifest, tmp_path)
    assert_complete(tmp_path)
    assert {step.state for step in plan_fetch(["cub"], tmp_path, manifest=manifest)} == {"installed"}
    asked = len(server.requests)
    fetch_cub(manifest, tmp_path)
    assert len(server.requests) == asked


def test_existing_files_remain_when_fetching_them_again_is_refused(server: FaultyServer, tmp_path: Path) -> None:
    manifest = manifest_of(server)
    fetch_cub(manifest, tmp_path)
    server.files = {}
    for offline in (True, False):
        steps = plan_fetch(["cub"], tmp_path, manifest=manifest, again=True)
        assert {step.state for step in steps} == {"download"}
        with pytest.raises(NetworkError):
            fetch(steps, tmp_path, offline=offline)
        assert_complete(tmp_path)


def test_disk_space_is_needed_for_an_archive_and_its_files_but_not_for_finished_downloads(
    server: FaultyServer, tmp_path: Path
) -> None:
    sizes = {"cub-images": 1000, "proposed-splits": 100}
    manifest = {name: asset.model_copy(update={"estimate": sizes[name]}) for name, asset in manifest_of(server).items()}
    steps = plan_fetch(["cub"], tmp_path, manifest=manifest)
    assert bytes_needed(steps) == 1000 + 1000, "little of the splits is kept, and their archive is deleted"
    assert bytes_needed(steps, keep_archives=True) == 1000 + 1100
    (tmp_path / ".archives").mkdir()
    (tmp_path / ".archives" / f"{IMAGES[1:]}.part").write_bytes(b"." * 600)
    assert bytes_needed(steps) == 400 + 1000


def test_too_little_disk_space_is_reported_before_anything_is_fetched(server: FaultyServer, tmp_path: Path) -> None:
    manifest = {name: asset.model_copy(update={"estimate": 10**15}) for name, asset in manifest_of(server).items()}
    with pytest.raises(ResourceError, match="fetching needs about 2,000,000,000,000,000"):
        fetch_cub(manifest, tmp_path)
    assert server.requests == []
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("after", [0, 1, 2, 3, 5, 9, 30, 60, 62, 63, 64, 90, 130, 131, 132, 133])
def test_a_full_disk_is_an_error_and_the_next_run_finishes(server: FaultyServer, tmp_path: Path, after: int) -> None:
    manifest = manifest_of(server)
    with full_disk(tmp_path, after=after), contextlib.suppress(ResourceError):
        fetch_cub(manifest, tmp_path)
    stamps = tmp_path / "cub" / ".assets"
    assert not (stamps / "cub-images.json").exists() or {f"cub/{name}" for name in CUB} <= set(files_under(tmp_path))
    fetch_cub(manifest, tmp_path)
    assert_complete(tmp_path)


@pytest.mark.parametrize("name", ["data", "data/.archives", "data/cub/CUB_200_2011", "data/cub/.assets"])
def test_a_file_in_place_of_a_folder_is_an_error_that_names_it(server: FaultyServer, tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("a file")
    with pytest.raises(ConfigError, match="cannot be written") as caught:
        fetch_cub(manifest_of(server), tmp_path / "data")
    assert str(tmp_path / name) in str(caught.value)


def test_the_names_and_labels_of_res101_are_kept_and_the_features_are_not(server: FaultyServer, tmp_path: Path) -> None:
    fetch_cub(manifest_of(server), tmp_path)
    path = tmp_path / "cub" / "xlsa17" / "data" / "CUB" / "res101.mat"
    found = read_mat(path, ["image_files", "labels"])
    assert found["image_files"] == ("a.jpg", "b.jpg")
    assert np.ravel(found["labels"]).tolist() == [1, 2]
    with pytest.raises(DataError):
        read_mat(path, ["features"])


@pytest.mark.parametrize(
    "content",
    [
        tar_of(CUB)[:-20_000],
        tar_of(CUB)[:-1],
        tar_of(CUB)[:200_000] + bytes(1000) + tar_of(CUB)[201_000:],
        tar_of(CUB | {"../outside": b"x"}),
        tar_of(CUB | {"/tmp/outside": b"x"}),
        tar_of(CUB | {"CUB_200_2011/IMAGES/0/0.jpg": b"x"}),
        tar_of({f"{number}": b"" for number in range(101)}),
        tar_of({"bomb": bytes(10**7 + 1)}),
    ],
    ids=["truncated", "one byte short", "damaged", "..", "absolute", "same name", "members", "bomb"],
)
def test_a_bad_archive_is_not_installed_and_the_next_run_finishes(
    server: FaultyServer, tmp_path: Path, content: bytes
) -> None:
    manifest = manifest_of(server)
    server.script[IMAGES] = [Answer(content=content)]
    with pytest.raises(DataError):
        fetch_cub(manifest, tmp_path / "data")
    assert not (tmp_path / "data" / "cub" / "CUB_200_2011").exists()
    assert not (tmp_path / "data" / "cub" / ".assets" / "cub-images.json").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    fetch_cub(manifest, tmp_path / "data")
    assert_complete(tmp_path / "data")


@pytest.mark.parametrize("members", [{"other": b"x"}, XLSA17 | {"xlsa17/data/CUB/res101.mat": b"no such file"}])
def test_an_archive_of_other_files_is_deleted_and_the_installed_files_remain(
    server: FaultyServer, tmp_path: Path, members: dict[str, bytes]
) -> None:
    manifest = manifest_of(server)
    fetch_cub(manifest, tmp_path)
    server.script[SPLITS] = [Answer(content=zip_of(members))]
    steps = plan_fetch(["cub"], tmp_path, manifest=manifest, again=True)
    with pytest.raises(DataError):
        fetch(steps, tmp_path)
    assert not (tmp_path / ".archives" / SPLITS[1:]).exists()
    assert (tmp_path / "cub" / ".assets" / "proposed-splits.json").exists()
    fetch(plan_fetch(["cub"], tmp_path, manifest=manifest, again=True), tmp_path)
    assert_complete(tmp_path)


@pytest.mark.parametrize("answer", [Answer(404), Answer(content=HTML), Answer(503), Answer(cut=9, ranges=False)])
@pytest.mark.parametrize("path", [IMAGES, SPLITS])
def test_the_next_run_finishes_a_failed_download(
    server: FaultyServer, tmp_path: Path, answer: Answer, path: str
) -> None:
    manifest = manifest_of(server)
    server.always[path] = answer
    with pytest.raises(NetworkError, match=f"{path[1:]} could not be downloaded"):
        fetch_cub(manifest, tmp_path)
    server.always.clear()
    fetch_cub(manifest, tmp_path)
    assert_complete(tmp_path)


def test_the_stamp_names_the_address_of_the_file(server: FaultyServer, tmp_path: Path) -> None:
    manifest = manifest_of(server)
    server.files |= {"/mirror" + path: content for path, content in server.files.items()}
    fetch(plan_fetch(["cub"], tmp_path, manifest=manifest, mirrors=[f"{server.address}/mirror"]), tmp_path)
    stamp = json.loads((tmp_path / "cub" / ".assets" / "cub-images.json").read_text())
    assert stamp["from"] == f"{server.address}/mirror{IMAGES}"


def test_kept_archives_are_used_the_next_time(server: FaultyServer, tmp_path: Path) -> None:
    manifest = manifest_of(server)
    fetch_cub(manifest, tmp_path / "one", keep_archives=True)
    kept = tmp_path / "one" / ".archives"
    assert {name: kept.joinpath(name[1:]).read_bytes() for name in server.files} == server.files
    asked = len(server.requests)
    fetch_cub(manifest, tmp_path / "one")
    assert {name for name in server.files if kept.joinpath(name[1:]).is_file()} == set(server.files)
    fetch_cub(manifest, tmp_path / "two", source=kept)
    assert_complete(tmp_path / "two")
    assert len(server.requests) == asked


ANOTHER_VERSION = tar_of(CUB | {"CUB_200_2011/images/new.jpg": b"new"})


@pytest.mark.parametrize("put", [lambda path: path.write_bytes(ANOTHER_VERSION), os.mkfifo])
def test_an_archive_that_is_already_there_is_checked_like_a_download(
    server: FaultyServer, tmp_path: Path, put: Callable[[Path], None]
) -> None:
    manifest = manifest_of(server)
    size = {"size": len(server.files[IMAGES])}
    manifest["cub-images"] = manifest["cub-images"].model_copy(update=size)
    (tmp_path / ".archives").mkdir()
    put(tmp_path / ".archives" / IMAGES[1:])
    with pytest.raises(DataError, match="is not CUB_200_2011.tgz|is a pipe"):
        fetch_cub(manifest, tmp_path)
    fetch_cub(manifest, tmp_path)
    assert_complete(tmp_path)


def test_unpacked_folders_are_used_and_left_unchanged(server: FaultyServer, tmp_path: Path) -> None:
    mine = unpacked_by_hand(tmp_path / "mine")
    before = files_under(mine)
    fetch_cub(manifest_of(server), tmp_path / "data", source=mine)
    assert_complete(tmp_path / "data")
    assert files_under(mine) == before
    assert server.requests == []


def test_archives_in_the_folder_of_the_data_set_are_unpacked_and_kept(server: FaultyServer, tmp_path: Path) -> None:
    mine, names = tmp_path / "cub", (IMAGES, SPLITS)
    mine.mkdir()
    for name in names:
        (mine / name[1:]).write_bytes(server.files[name])
    fetch_cub(manifest_of(server), tmp_path, source=mine)
    for name in names:
        assert (mine / name[1:]).read_bytes() == server.files[name]
        (mine / name[1:]).unlink()
    assert_complete(tmp_path)
    assert server.requests == []


def unpacked_by_hand(folder: Path) -> Path:
    for name, content in (CUB | XLSA17).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_links_in_the_data_folder_may_lead_to_another_disk(server: FaultyServer, tmp_path: Path) -> None:
    def other_disk(name: str, number: int, real: object, arguments: tuple[object, ...]) -> None:
        source, target = map(str, arguments)
        if ".unpacking" in source and "/images/" in target:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), source, None, target)

    data, links = tmp_path / "data", (".archives", "cub/CUB_200_2011/images")
    for name in links:
        (tmp_path / "disk" / name).mkdir(parents=True)
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).symlink_to(tmp_path / "disk" / name)
    with disk_fault(other_disk, "replace"):
        fetch_cub(manifest_of(server), data)
    for name in links:
        (data / name).unlink()
        (tmp_path / "disk" / name).rename(data / name)
    assert_complete(data)


@pytest.mark.parametrize("spoil", [lambda path: path.symlink_to("gone"), lambda path: path.symlink_to(".."), os.mkfifo])
def test_a_folder_with_an_entry_that_cannot_be_copied_is_refused(
    server: FaultyServer, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    mine = unpacked_by_hand(tmp_path / "mine")
    spoil(mine / "CUB_200_2011" / "images" / "extra")
    with pytest.raises(DataError, match="images/extra"):
        fetch_cub(manifest_of(server), tmp_path / "data", source=mine)
    assert installed(tmp_path / "data").keys() & {f"cub/{name}" for name in CUB} == set()


def test_a_disk_that_is_full_after_some_copies_is_an_error(server: FaultyServer, tmp_path: Path) -> None:
    mine = unpacked_by_hand(tmp_path / "mine")
    with full_disk(tmp_path / "data", name="*.jpg", after=9), pytest.raises(ResourceError, match="no space left"):
        fetch_cub(manifest_of(server), tmp_path / "data", source=mine)
    fetch_cub(manifest_of(server), tmp_path / "data", source=mine)
    assert_complete(tmp_path / "data")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EIO, errno.ESTALE, errno.ENOSPC])
def test_an_archive_is_kept_if_its_files_cannot_be_written(server: FaultyServer, tmp_path: Path, number: int) -> None:
    manifest = manifest_of(server)
    with full_disk(tmp_path, name="*.jpg", number=number), pytest.raises((ConfigError, ResourceError)) as caught:
        fetch_cub(manifest, tmp_path)
    assert "writ" in caught.value.what
    server.requests.clear()
    fetch_cub(manifest, tmp_path)
    assert_complete(tmp_path)
    assert IMAGES not in [request.path for request in server.requests]


@pytest.mark.parametrize("kills", [pytest.param(20, marks=pytest.mark.slow), 4])
def test_a_download_killed_at_many_moments_ends_byte_identical(
    server: FaultyServer, tmp_path: Path, kills: int
) -> None:
    manifest = manifest_of(server)
    fetch_cub(manifest, tmp_path / "whole")
    moments = random.Random(11)
    for number in range(kills):
        path, name = (
            (IMAGES, "cub-images") if number < 0.65 * kills else (SPLITS, "proposed-splits")
        )  # one after the other
        steps = plan_fetch(["cub"], tmp_path / "data", manifest=manifest)
        process = FORKS.Process(target=fetch, args=(steps, tmp_path / "data"))
        cut = moments.randrange(len(server.files[path]) // 15)
        server.script = {path: [Answer(cut=cut, at_cut=process.kill)]}
        process.start()
        process.join(60)
        assert process.exitcode == -signal.SIGKILL
        assert not (tmp_path / "data" / "cub" / ".assets" / f"{name}.json").exists()
    server.script = {}
    fetch_cub(manifest, tmp_path / "data")
    assert_complete(tmp_path / "data")
    assert installed(tmp_path / "data") == installed(tmp_path / "whole")


def test_ctrl_c_ends_at_once_though_the_server_is_silent(server: FaultyServer, tmp_path: Path) -> None:
    over, arguments = threading.Event(), ["data", "fetch", "cub", "--mirror", server.address, "--data-dir", "data"]
    running: list[subprocess.Popen[str]] = []

    def interrupt() -> None:
        running[0].send_signal(signal.SIGINT)
        over.wait(60)  # the connection stays open and silent

    server.files["/xlsa17.zip"] = zip_of({"a": bytes(300_000)})
    server.always["/xlsa17.zip"] = Answer(cut=1000, at_cut=interrupt)
    server.always[IMAGES] = Answer(404)
    process = subprocess.Popen(
        [sys.executable, "-m", "svipctl", *arguments],
        cwd=tmp_path,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    running.append(process)
    try:
        _, printed = process.communicate(timeout=50)
    finally:
        over.set()
        process.kill()
    assert process.returncode == 130, printed
    assert not (tmp_path / "data" / ".archives" / "xlsa17.zip").exists()


def test_two_fetches_into_one_folder_are_not_mixed(server: FaultyServer, tmp_path: Path) -> None:
    manifest = manifest_of(server)
    caught: list[SvipError] = []

    def second() -> None:
        try:
            fetch_cub(manifest, tmp_path)
        except SvipError as error:
            caught.append(error)

    server.script[IMAGES] = [Answer(cut=1000, at_cut=second)]
    fetch_cub(manifest, tmp_path)
    assert "another process" in str(caught[0])
    assert_complete(tmp_path)
