"""Test every fault of a mirror: a precise error, no partial file that looks complete, and the next run finishes."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import hashlib
import io
import json
import random
import shutil
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from svipctl.datasets.fetch import download as downloading
from svipctl.datasets.fetch.assets import Asset
from svipctl.datasets.fetch.download import Origin
from svipctl.errors import DataError, NetworkError, ResourceError, SvipError
from svipctl.files import file_lock
from svipctl.types import ProgressCallback
from tests.datasets.faulty_server import HTML, Answer, FaultyServer, faulty_server
from tests.datasets.patience import SLEEPLESS, Patience
from tests.faults import largest_file
from tests.marks import first_fast


def archive_of(seed: int) -> bytes:
    """Return a .tar.gz with one file of random bytes; of the same length for every seed."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        member = tarfile.TarInfo("file")
        member.size = 1_600_000
        tar.addfile(member, io.BytesIO(random.Random(seed).randbytes(member.size)))
    return gzip.compress(packed.getvalue(), compresslevel=0, mtime=0)


CONTENT, OTHER = archive_of(5), archive_of(6)
SIZE = len(CONTENT)
PATH, SECOND = "/first/a.tar.gz", "/second/a.tar.gz"


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with faulty_server() as served:
        served.files = {PATH: CONTENT, SECOND: CONTENT}
        yield served


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def patience(waits: list[float]) -> Patience:
    """Record the waits instead of waiting."""
    return Patience(waits.append)


def never(seconds: float) -> None:
    pytest.fail(f"waits {seconds} seconds")


IMPATIENT = Patience(never)


def download(
    asset: Asset, folder: Path, *, patience: Patience | None = None, progress: ProgressCallback | None = None
) -> Path:
    with patience.applied() if patience else contextlib.nullcontext():
        return downloading.download(asset, folder, progress=progress)


def asset_of(server: FaultyServer, *paths: str, checked: bool = True, **more: object) -> Asset:
    known = {"size": SIZE, "md5": hashlib.md5(CONTENT).hexdigest()} if checked else {"unpacked": 2_000_000}
    mirrors = tuple(server.address + path for path in paths or (PATH,))
    return Asset.model_validate({"name": "a", "file": "a.tar.gz", "kind": "tar.gz", "mirrors": mirrors} | known | more)


def assert_only_the_file(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} <= {"a.tar.gz", "a.tar.gz.json"}
    assert (folder / "a.tar.gz").read_bytes() == CONTENT


def test_a_download_leaves_only_the_complete_file(server: FaultyServer, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    path = download(asset_of(server), tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert path == tmp_path / "a.tar.gz"
    assert_only_the_file(tmp_path)
    assert seen[-1] == (SIZE, SIZE)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})


@pytest.mark.parametrize(("checked", "claimed"), [(True, True), (True, False), (False, True)])
def test_a_broken_connection_is_resumed_at_the_same_byte(
    server: FaultyServer, tmp_path: Path, waits: list[float], patience: Patience, checked: bool, claimed: bool
) -> None:
    cuts = [700_000, 300_001, 17]
    lost: dict[str, str | None] = {} if claimed else {"Content-Length": None}
    server.script[PATH] = [Answer(cut=cut, headers=lost) for cut in cuts]
    download(asset_of(server, checked=checked), tmp_path, patience=patience)
    assert_only_the_file(tmp_path)
    assert server.requested_ranges(PATH) == [None, "bytes=700000-", "bytes=1000001-", "bytes=1000018-"]
    assert waits == [1.0, 1.0, 1.0], "a connection that received data restarts the count of failures"


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(1, SIZE - 1), max_size=6), ranges=st.booleans())
def test_the_next_runs_finish_wherever_connections_break(
    server: FaultyServer, tmp_path: Path, cuts: list[int], ranges: bool
) -> None:
    server.script[PATH] = [Answer(cut=cut, ranges=ranges) for cut in cuts]
    folder = tmp_path / "one"
    for _ in range(len(cuts) + 1):
        try:
            download(asset_of(server), folder, patience=SLEEPLESS)
            break
        except NetworkError:
            assert not (folder / "a.tar.gz").exists()
    assert_only_the_file(folder)
    shutil.rmtree(folder)


def test_a_server_without_ranges_is_read_from_the_start(
    server: FaultyServer, tmp_path: Path, waits: list[float], patience: Patience
) -> None:
    server.script[PATH] = [Answer(cut=500_000)]
    server.always[PATH] = Answer(ranges=False)
    download(asset_of(server), tmp_path, patience=patience)
    assert_only_the_file(tmp_path)
    assert server.requested_ranges(PATH) == [None, "bytes=500000-"]


def test_a_server_that_always_breaks_is_given_up_and_the_part_is_kept(
    server: FaultyServer, tmp_path: Path, waits: list[float], patience: Patience
) -> None:
    server.always[PATH] = Answer(cut=1000, ranges=False)
    with pytest.raises(NetworkError) as caught:
        download(asset_of(server), tmp_path, patience=patience)
    assert "gave up after 4 connections" in caught.value.why
    assert waits == [1.0, 4.0, 10.0]
    assert (tmp_path / "a.tar.gz.part").stat().st_size == 1000
    del server.always[PATH]
    download(asset_of(server), tmp_path, patience=patience)
    assert_only_the_file(tmp_path)
    assert server.requested_ranges(PATH)[-1] == "bytes=1000-", "the next run resumes at the same byte"


@pytest.mark.parametrize("status", [403, 404, 410])
def test_the_next_mirror_is_used_when_one_refuses(server: FaultyServer, tmp_path: Path, status: int) -> None:
    server.always[PATH] = Answer(status)
    path = download(asset_of(server, PATH, SECOND), tmp_path, patience=IMPATIENT)
    assert_only_the_file(tmp_path)
    assert Origin.read(path).address == server.address + SECOND
    assert len(server.requested_ranges(PATH)) == 1, "another request does not help"


def test_if_all_mirrors_fail_each_answer_and_a_remedy_are_named(server: FaultyServer, tmp_path: Path) -> None:
    server.always = {PATH: Answer(404), SECOND: Answer(content=HTML)}
    with pytest.raises(NetworkError) as caught:
        download(asset_of(server, PATH, SECOND), tmp_path)
    assert caught.value.why.splitlines() == [
        f"{server.address}{PATH}: HTTP status 404",
        f"{server.address}{SECOND}: it is not a tar.gz archive, it starts with b'<!DOCTYPE html>'",
    ]
    assert "a.tar.gz" in caught.value.todo
    assert "--from" in caught.value.todo
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("answer", [Answer(429, {"Retry-After": "7"}), Answer(503, {"Retry-After": "7"})])
def test_a_busy_server_is_asked_again_after_the_time_it_names(
    server: FaultyServer, tmp_path: Path, waits: list[float], patience: Patience, answer: Answer
) -> None:
    server.script[PATH] = [answer, Answer(429), Answer(429, {"Retry-After": "86400"})]
    download(asset_of(server), tmp_path, patience=patience)
    assert_only_the_file(tmp_path)
    assert waits == [7.0, 4.0, 60.0], "the server's delay, the default, at most a minute"


def test_retry_after_may_be_a_date(
    server: FaultyServer, tmp_path: Path, waits: list[float], patience: Patience
) -> None:
    dates = [format_datetime(datetime.now(UTC) + timedelta(days=days), usegmt=True) for days in (-1, 1)]
    server.script[PATH] = [Answer(429, {"Retry-After": date}) for date in [*dates, "soon"]]
    download(asset_of(server), tmp_path, patience=patience)
    assert waits == [0.0, 60.0, 10.0]


def test_an_html_page_does_not_replace_an_existing_file(server: FaultyServer, tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz.part").write_bytes(CONTENT[:1_400_000])
    server.script[PATH] = [Answer(content=HTML, ranges=False)]
    with pytest.raises(NetworkError, match="<!DOCTYPE"):
        download(asset_of(server, checked=False, md5=hashlib.md5(CONTENT).hexdigest()), tmp_path)
    assert (tmp_path / "a.tar.gz.part").stat().st_size == 1_400_000
    download(asset_of(server), tmp_path)
    assert server.requested_ranges(PATH) == ["bytes=1400000-", "bytes=1400000-"]
    assert_only_the_file(tmp_path)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(content=CONTENT[:-9]), f"it has {SIZE - 9:,} bytes there instead of {SIZE:,}"),
        (Answer(content=CONTENT + b"more"), f"it has {SIZE + 4:,} bytes there"),
        (Answer(content=OTHER), "its checksum is"),
        (Answer(content=b"PK" + CONTENT[2:]), "it is not a tar.gz archive"),
        (Answer(content=b""), "it is not a tar.gz archive"),
        (Answer(content=b"\x1f"), "it is not a tar.gz archive"),
    ],
    ids=["truncated", "too long", "other bytes", "other kind", "empty", "one byte"],
)
def test_a_wrong_file_is_refused_and_not_continued(
    server: FaultyServer, tmp_path: Path, answer: Answer, words: str
) -> None:
    server.script[PATH] = [answer]
    with pytest.raises(NetworkError, match=words):
        download(asset_of(server), tmp_path, patience=IMPATIENT)
    assert not list(tmp_path.iterdir())
    download(asset_of(server), tmp_path)
    assert server.requested_ranges(PATH) == [None, None]
    assert_only_the_file(tmp_path)


def test_a_foreign_part_is_downloaded_again(server: FaultyServer, tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz.part").write_bytes(OTHER[:1000])
    download(asset_of(server), tmp_path)
    assert server.requested_ranges(PATH) == ["bytes=1000-", None]
    assert_only_the_file(tmp_path)


@pytest.mark.parametrize("there", [CONTENT, CONTENT + b"more", OTHER], ids=["complete", "too long", "other bytes"])
@pytest.mark.parametrize("checked", [True, False])
def test_a_part_of_full_length_is_used_only_if_correct(
    server: FaultyServer, tmp_path: Path, there: bytes, checked: bool
) -> None:
    (tmp_path / "a.tar.gz.json").write_text(json.dumps({"address": server.address + PATH, "version": ""}))
    (tmp_path / "a.tar.gz.part").write_bytes(there)
    download(asset_of(server, checked=checked), tmp_path, patience=SLEEPLESS)
    assert_only_the_file(tmp_path)


@pytest.mark.parametrize("checked", [True, False])
def test_a_part_that_the_server_reports_as_complete_is_checked_and_used(
    server: FaultyServer, tmp_path: Path, checked: bool
) -> None:
    known = {"md5": hashlib.md5(CONTENT).hexdigest()} if checked else {}
    asset = asset_of(server, checked=False, **known)
    origin = {"address": server.address + PATH, "version": f'"{hashlib.md5(CONTENT).hexdigest()}"'}
    for name, there, asked in (
        ("right", CONTENT, [f"bytes={SIZE}-"]),
        ("wrong", CONTENT[:1000] + OTHER[1000:], [f"bytes={SIZE}-", None]),
    ):
        server.requests.clear()
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.tar.gz.json").write_text(json.dumps(origin))
        (tmp_path / name / "a.tar.gz.part").write_bytes(there)
        download(asset, tmp_path / name, patience=SLEEPLESS)
        assert_only_the_file(tmp_path / name)
        assert server.requested_ranges(PATH) == asked


def test_parts_of_two_mirrors_are_joined_only_with_a_checksum(server: FaultyServer, tmp_path: Path) -> None:
    for checked, asked in ((True, "bytes=1000-"), (False, None)):
        folder = tmp_path / str(checked)
        server.always[PATH] = Answer(cut=1000, ranges=False)
        download(asset_of(server, PATH, SECOND, checked=checked), folder, patience=SLEEPLESS)
        assert server.requested_ranges(SECOND)[-1] == asked
        assert_only_the_file(folder)


def test_a_file_that_changes_on_the_server_is_not_joined_with_its_old_part(
    server: FaultyServer, tmp_path: Path, patience: Patience
) -> None:
    server.script[PATH] = [Answer(content=OTHER, cut=1000)]
    download(asset_of(server, checked=False), tmp_path, patience=patience)
    assert server.requests[1].if_range == f'"{hashlib.md5(OTHER).hexdigest()}"'
    assert_only_the_file(tmp_path)


def dated(**changed: int) -> dict[str, str | None]:
    """Return the headers of a file without an ETag that was changed this long before it was sent."""
    sent = datetime(2024, 5, 1, tzinfo=UTC)
    modified = format_datetime(sent - timedelta(**changed), usegmt=True)
    return {"ETag": None, "Last-Modified": modified, "Date": format_datetime(sent, usegmt=True)}


NO_VERSION: dict[str, str | None] = {"ETag": None}
LONG = "9" * 5000


@pytest.mark.parametrize(
    ("headers", "resumes"),
    [
        ({"ETag": '"strong"'}, True),
        (dated(days=1), True),
        (dated(seconds=60), True),
        (dated(seconds=59), False),
        (dated(days=1) | {"Date": None}, False),
        (dated(days=1) | {"Date": "yesterday"}, False),
        (dated(days=1) | {"Last-Modified": "May"}, False),
        (dated(days=1) | {"Last-Modified": f"{dated(days=1)['Last-Modified']} (\xe9)"}, False),
        (dated(days=1) | {"ETag": 'W/"weak"'}, False),
        ({"ETag": 'W/"weak"'}, False),
        ({"ETag": "no quotes"}, False),
        ({"ETag": '"two", "tags"'}, False),
        (NO_VERSION, False),
    ],
)
def test_without_a_checksum_only_a_strong_validator_lets_a_download_resume(
    server: FaultyServer, tmp_path: Path, headers: dict[str, str | None], resumes: bool
) -> None:
    server.script[PATH] = [Answer(headers=headers, cut=1000)]
    server.always[PATH] = Answer(headers=headers)
    download(asset_of(server, checked=False), tmp_path, patience=SLEEPLESS)
    assert server.requested_ranges(PATH) == [None, "bytes=1000-" if resumes else None]
    assert server.requests[-1].if_range == (headers["ETag"] or headers.get("Last-Modified") if resumes else None)
    assert_only_the_file(tmp_path)


@pytest.mark.parametrize("checked", [True, False])
@pytest.mark.parametrize(
    "second",
    [
        Answer(offset=1),
        Answer(offset=500),
        Answer(offset=-1),
        Answer(headers={"Content-Range": None}),
        Answer(headers={"Content-Range": f"bytes 1001-{SIZE - 1}/{SIZE}"}),
        Answer(headers={"Content-Range": f"bytes 1000-{SIZE - 1}/{SIZE + 1}"}),
        Answer(headers={"Content-Range": f"bytes 1000-{SIZE}/{SIZE}"}),
        Answer(headers={"Content-Range": "bytes 1000-999/1000"}),
        Answer(headers={"Content-Range": f"bytes 1000-1009/{SIZE}"}),
        Answer(headers={"Content-Range": f"bytes {LONG}-{LONG}/{LONG}"}),
        Answer(headers={"Content-Range": f"bytes 1000-{SIZE - 1}/{LONG}"}),
        Answer(headers={"Content-Range": "bytes \u0661\u0660-\u0662/\u0663".encode().decode("latin-1")}),
        Answer(headers={"Content-Range": f"items 1000-{SIZE - 1}/{SIZE}"}),
        Answer(416),
        Answer(416, {"Content-Range": f"bytes */{SIZE}"}),
        Answer(416, {"Content-Range": f"bytes */{LONG}"}),
    ],
    ids=lambda answer: "-".join(str(value)[:30] for value in (answer.status, answer.offset, *answer.headers.values())),
)
def test_an_answer_that_does_not_continue_the_part_is_not_appended(
    server: FaultyServer, tmp_path: Path, checked: bool, second: Answer
) -> None:
    server.script[PATH] = [Answer(cut=1000), second]
    unknown = {} if checked else {"size": None}
    asset = asset_of(server, checked=checked, **unknown)
    download(asset, tmp_path, patience=SLEEPLESS)
    assert server.requested_ranges(PATH) == [None, "bytes=1000-", None], "from the start, as ranges do not help"
    assert_only_the_file(tmp_path)


@pytest.mark.parametrize(
    "second",
    [
        Answer(if_range=False),
        Answer(if_range=False, headers={"ETag": 'W/"weak"'}),
        Answer(if_range=False, headers=NO_VERSION),
        Answer(if_range=False, headers={"ETag": f'"{hashlib.md5(OTHER).hexdigest()}"'}),
    ],
    ids=["another tag", "a weak tag", "no tag", "the same tag by mistake"],
)
def test_a_range_of_another_version_is_never_joined(server: FaultyServer, tmp_path: Path, second: Answer) -> None:
    server.script[PATH] = [Answer(content=OTHER, cut=1000), second]
    download(asset_of(server, checked=False), tmp_path, patience=SLEEPLESS)
    assert server.requested_ranges(PATH) == [None, "bytes=1000-", None]
    assert_only_the_file(tmp_path)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (CONTENT[:-9], "damaged"),
        (CONTENT[:-8] + bytes(8), "damaged"),
        (CONTENT[:1000] + OTHER[1000:], "damaged"),
        (gzip.compress(b"no tar"), "damaged"),
        (CONTENT + b"more", "damaged"),
    ],
    ids=["truncated", "no CRC", "two versions", "no tar", "longer"],
)
@pytest.mark.parametrize("headers", [{}, {"Content-Length": None}], ids=["length", "no length"])
def test_a_damaged_archive_without_a_checksum_is_deleted_and_the_next_mirror_is_used(
    server: FaultyServer, tmp_path: Path, wrong: bytes, words: str, headers: dict[str, str | None]
) -> None:
    server.always[PATH] = Answer(content=wrong, headers=headers)
    with pytest.raises(DataError, match=words):
        download(asset_of(server, checked=False), tmp_path, patience=SLEEPLESS)
    assert not list(tmp_path.iterdir())
    download(asset_of(server, PATH, SECOND, checked=False), tmp_path, patience=SLEEPLESS)
    assert_only_the_file(tmp_path)


@pytest.mark.parametrize(
    ("answer", "checked"),
    [
        (Answer(content=CONTENT[:8192], chunked=True, endless=True), True),
        (Answer(content=CONTENT[:8192], chunked=True, endless=True), False),
        (Answer(content=CONTENT[:8192], headers={"Content-Length": None}, endless=True), True),
        (Answer(content=CONTENT[:8192], headers={"Content-Length": None}, endless=True), False),
        (Answer(content=CONTENT[:8192], headers={"Content-Length": str(10**15)}, endless=True), True),
        (Answer(content=CONTENT[:8192], headers={"Content-Length": str(10**15)}, endless=True), False),
    ],
)
@pytest.mark.parametrize("begun", [False, True])
def test_an_endless_body_is_cut_at_the_largest_allowed_size(
    server: FaultyServer, tmp_path: Path, answer: Answer, checked: bool, begun: bool
) -> None:
    if begun:
        server.script[PATH] = [Answer(cut=1000), dataclasses.replace(answer, content=CONTENT)]
    server.always[PATH] = answer
    seen: list[int] = []
    asset = asset_of(server, checked=checked)
    with pytest.raises(NetworkError, match="more bytes than the file has|instead of"):
        download(asset, tmp_path, patience=SLEEPLESS, progress=lambda done, total: seen.append(done))
    assert max(seen, default=0) <= asset.largest
    assert {path.name for path in tmp_path.iterdir()} <= ({"a.tar.gz.part", "a.tar.gz.json"} if begun else set())


GOOD_HEADERS = b'HTTP/1.1 200 OK\r\nETag: "a"\r\n'


@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 200 OK\r\nServer: ",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        GOOD_HEADERS + b"\r\n",
        GOOD_HEADERS + b"\r\n" + CONTENT[:1000],
        GOOD_HEADERS + b"Content-Length: %d\r\n\r\n" % SIZE + CONTENT[:-1],
        GOOD_HEADERS + b"Transfer-Encoding: chunked\r\n\r\n3e8;" + b"extension" * 100,
        GOOD_HEADERS + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\nTrailer: " % (SIZE, CONTENT),
    ],
    ids=["headers", "interim answer", "no body", "body", "last byte", "chunk size", "trailer"],
)
@pytest.mark.parametrize("checked", [True, False])
def test_a_slow_server_is_given_up_at_any_point_and_another_mirror_can_finish(
    server: FaultyServer, tmp_path: Path, sent: bytes, checked: bool
) -> None:
    server.always[PATH] = Answer(raw=sent)
    patience = dataclasses.replace(IMPATIENT, slowest=10**9, period=0.3)
    with pytest.raises(NetworkError, match="it sends fewer than 1,000,000,000 bytes in 0.3 seconds"):
        download(asset_of(server, checked=checked), tmp_path, patience=patience)
    assert len(server.requests) == 1, "trying again does not help"
    (tmp_path / "a.tar.gz.part").unlink(missing_ok=True)
    download(
        asset_of(server, PATH, SECOND, checked=checked), tmp_path, patience=dataclasses.replace(patience, slowest=1)
    )
    assert_only_the_file(tmp_path)


def test_a_server_that_breaks_every_connection_is_given_up_eventually(server: FaultyServer, tmp_path: Path) -> None:
    server.always[PATH] = Answer(cut=100)
    patience = dataclasses.replace(SLEEPLESS, connections=20)
    with pytest.raises(NetworkError, match="gave up after 20 connections"):
        download(asset_of(server), tmp_path, patience=patience)
    assert len(server.requests) == 20
    assert (tmp_path / "a.tar.gz.part").stat().st_size == 2000


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Length": LONG},
        {"Content-Length": "-1"},
        {"Content-Length": "1, 2"},
        {"Content-Range": LONG, "Retry-After": LONG},
        {"ETag": "x" * 5000, "Last-Modified": LONG, "Date": LONG},
        {"Location": LONG},
        {"Last-Modified": "Mon, 01 Jan 99999999999 00:00:00 GMT", "ETag": None},
    ],
    ids=lambda headers: next(iter(headers)),
)
@pytest.mark.parametrize("status", first_fast([206, 503, 200, 302, 429], 2))
def test_malformed_headers_are_a_network_error_or_ignored(
    server: FaultyServer, tmp_path: Path, headers: dict[str, str | None], status: int
) -> None:
    server.always[PATH] = Answer(status, headers)
    for checked in (True, False):
        with contextlib.suppress(NetworkError):
            download(asset_of(server, checked=checked), tmp_path / str(checked), patience=SLEEPLESS)
            assert_only_the_file(tmp_path / str(checked))


def test_redirects_are_followed_but_not_in_a_loop(server: FaultyServer, tmp_path: Path) -> None:
    server.always[PATH] = Answer(302, {"Location": SECOND})
    download(asset_of(server), tmp_path / "one")
    assert_only_the_file(tmp_path / "one")
    server.always[SECOND] = Answer(302, {"Location": PATH})
    with pytest.raises(NetworkError, match="loop"):
        download(asset_of(server), tmp_path / "two")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_the_body_of_a_redirect_is_not_read(server: FaultyServer, tmp_path: Path, status: int) -> None:
    server.always[PATH] = Answer(raw=b"HTTP/1.1 %d Moved\r\nLocation: %b\r\n\r\nendless" % (status, SECOND.encode()))
    download(asset_of(server), tmp_path, patience=IMPATIENT)
    assert_only_the_file(tmp_path)


def test_a_tgz_that_the_server_declares_as_an_encoding_is_saved_unchanged(server: FaultyServer, tmp_path: Path) -> None:
    server.always[PATH] = Answer(headers={"Content-Encoding": "gzip"})
    download(asset_of(server), tmp_path)
    assert_only_the_file(tmp_path)


@pytest.mark.parametrize("mirror", ["http://127.0.0.1:1", "ftp://127.0.0.1", "nonsense", "http://"])
def test_an_unreachable_address_is_a_network_error(
    server: FaultyServer, tmp_path: Path, mirror: str, patience: Patience
) -> None:
    with pytest.raises(NetworkError):
        download(asset_of(server).moved_to([mirror]), tmp_path, patience=patience)
    download(asset_of(server).moved_to([mirror, f"{server.address}/first/"]), tmp_path, patience=patience)
    assert_only_the_file(tmp_path)


def test_too_little_disk_space_is_reported_before_a_byte_is_written(server: FaultyServer, tmp_path: Path) -> None:
    size = 10**15
    server.always[PATH] = Answer(headers={"Content-Length": str(size)})
    with pytest.raises(ResourceError, match=f"needs {size:,} more"):
        download(asset_of(server, PATH, SECOND, size=size), tmp_path)
    assert server.requested_ranges(SECOND) == [], "another mirror does not help"
    assert not list(tmp_path.iterdir())


def test_a_full_disk_keeps_the_downloaded_part(server: FaultyServer, tmp_path: Path) -> None:
    with largest_file(1_000_000), pytest.raises(ResourceError, match="no space left"):
        download(asset_of(server), tmp_path)
    kept = (tmp_path / "a.tar.gz.part").stat().st_size
    assert 0 < kept <= 1_000_000
    download(asset_of(server), tmp_path)
    assert server.requested_ranges(PATH)[-1] == f"bytes={kept}-"
    assert_only_the_file(tmp_path)


def test_two_processes_do_not_write_the_same_file(server: FaultyServer, tmp_path: Path) -> None:
    with file_lock(tmp_path), pytest.raises(SvipError, match="another process is downloading"):
        download(asset_of(server), tmp_path)
    download(asset_of(server), tmp_path)
    assert_only_the_file(tmp_path)


@pytest.mark.parametrize(
    ("variable", "value"),
    [("SSL_CERT_FILE", "gone.pem"), ("HTTP_PROXY", "http://proxy:port"), ("HTTP_PROXY", "gopher://proxy")],
)
def test_an_unusable_proxy_or_certificate_is_an_error_that_names_its_variable(
    server: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(NetworkError, match="the proxy or certificate settings of the environment") as caught:
        download(asset_of(server), tmp_path)
    assert variable in caught.value.why


def test_a_file_of_the_user_is_checked_like_a_downloaded_one(server: FaultyServer, tmp_path: Path) -> None:
    asset, path = asset_of(server), tmp_path / "mine"
    for content, words in (
        (CONTENT, ""),
        (OTHER, "its checksum"),
        (CONTENT[:9], "bytes"),
        (HTML, "<!DOCTYPE"),
        (b"", "b''"),
    ):
        path.write_bytes(content)
        problem = asset.problem_of(path)
        assert words in problem
        assert bool(problem) == bool(words)
