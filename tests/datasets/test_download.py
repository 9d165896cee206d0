"""Every fault that a mirror can have: the right words, nothing half-done that looks done, and the next run finishes."""

from __future__ import annotations

import errno
import gzip
import hashlib
import random
import shutil
from collections import namedtuple
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from svipctl.datasets.assets import Asset
from svipctl.datasets.download import address_of, alone, download, problem_of
from svipctl.datasets.transfer import Part, _trusted
from svipctl.errors import NetworkError, ResourceError, SvipError
from tests.datasets.faulty_server import HTML, Answer, FaultyServer, faulty_server

CONTENT = gzip.compress(random.Random(5).randbytes(1_600_000), compresslevel=0, mtime=0)
OTHER = gzip.compress(random.Random(6).randbytes(1_600_000), compresslevel=0, mtime=0)
PATH, SECOND = "/first/a.tar.gz", "/second/a.tar.gz"


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with faulty_server() as served:
        served.files = {PATH: CONTENT, SECOND: CONTENT}
        yield served


@pytest.fixture
def waits() -> list[float]:
    return []


def asset_of(server: FaultyServer, *paths: str, checked: bool = True, **more: object) -> Asset:
    known = {"size": len(CONTENT), "md5": hashlib.md5(CONTENT).hexdigest()} if checked else {}
    mirrors = tuple(server.address + path for path in paths or (PATH,))
    return Asset.model_validate({"name": "a", "file": "a.tar.gz", "kind": "tar.gz", "mirrors": mirrors} | known | more)


def assert_only_the_file(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} <= {"a.tar.gz", "a.tar.gz.json"}
    assert (folder / "a.tar.gz").read_bytes() == CONTENT


def test_a_file_arrives_whole_and_nothing_else_is_left(server: FaultyServer, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    path = download(asset_of(server), tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert path == tmp_path / "a.tar.gz"
    assert_only_the_file(tmp_path)
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})


@pytest.mark.parametrize("checked", [True, False])
@pytest.mark.parametrize("claimed", [True, False])
def test_a_cut_connection_is_continued_where_it_broke(
    server: FaultyServer, tmp_path: Path, waits: list[float], checked: bool, claimed: bool
) -> None:
    cuts = [700_000, 300_001, 17]
    server.script[PATH] = [Answer(cut=cut, claimed=None if claimed or not checked else len(CONTENT)) for cut in cuts]
    download(asset_of(server, checked=checked), tmp_path, wait=waits.append)
    assert_only_the_file(tmp_path)
    assert server.asked(PATH) == [None, "bytes=700000-", "bytes=1000001-", "bytes=1000018-"]
    assert waits == [1.0, 1.0, 1.0], "a connection that brought something starts the count of failures anew"


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(1, len(CONTENT) - 1), max_size=6), ranges=st.booleans())
def test_wherever_connections_break_the_next_runs_finish(
    server: FaultyServer, tmp_path: Path, cuts: list[int], ranges: bool
) -> None:
    server.script[PATH] = [Answer(cut=cut, ranges=ranges) for cut in cuts]
    folder = tmp_path / "one"
    for _ in range(len(cuts) + 1):
        try:
            download(asset_of(server), folder, wait=lambda seconds: None)
            break
        except NetworkError:
            assert not (folder / "a.tar.gz").exists()
    assert_only_the_file(folder)
    shutil.rmtree(folder)


def test_a_server_without_ranges_starts_over(server: FaultyServer, tmp_path: Path, waits: list[float]) -> None:
    server.script[PATH] = [Answer(cut=500_000)]
    server.always[PATH] = Answer(ranges=False)
    download(asset_of(server), tmp_path, wait=waits.append)
    assert_only_the_file(tmp_path)
    assert server.asked(PATH) == [None, "bytes=500000-"]


def test_a_server_that_always_breaks_is_given_up_and_the_part_is_kept(
    server: FaultyServer, tmp_path: Path, waits: list[float]
) -> None:
    server.always[PATH] = Answer(cut=1000, ranges=False)
    with pytest.raises(NetworkError) as caught:
        download(asset_of(server), tmp_path, wait=waits.append)
    assert "4 times" in caught.value.why
    assert waits == [1.0, 4.0, 10.0]
    assert (tmp_path / "a.tar.gz.part").stat().st_size == 1000
    del server.always[PATH]
    download(asset_of(server), tmp_path, wait=waits.append)
    assert_only_the_file(tmp_path)
    assert server.asked(PATH)[-1] == "bytes=1000-", "the next run goes on where this one stood"


@pytest.mark.parametrize("status", [403, 404, 410])
def test_what_a_mirror_refuses_the_next_one_gives(server: FaultyServer, tmp_path: Path, status: int) -> None:
    server.always[PATH] = Answer(status)
    path = download(asset_of(server, PATH, SECOND), tmp_path, wait=pytest.fail)
    assert_only_the_file(tmp_path)
    assert address_of(path) == server.address + SECOND
    assert len(server.asked(PATH)) == 1, "asking again does not help"


def test_when_no_mirror_gives_it_each_answer_and_the_way_out_are_named(server: FaultyServer, tmp_path: Path) -> None:
    server.always = {PATH: Answer(404), SECOND: Answer(content=HTML)}
    with pytest.raises(NetworkError) as caught:
        download(asset_of(server, PATH, SECOND), tmp_path)
    assert caught.value.why.splitlines() == [
        f"{server.address}{PATH}: HTTP status 404",
        f"{server.address}{SECOND}: it is an HTML page, not an archive",
    ]
    assert "a.tar.gz" in caught.value.todo
    assert "--from" in caught.value.todo
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("answer", [Answer(429, {"Retry-After": "7"}), Answer(503, {"Retry-After": "7"})])
def test_a_busy_server_is_asked_again_when_it_says(
    server: FaultyServer, tmp_path: Path, waits: list[float], answer: Answer
) -> None:
    server.script[PATH] = [answer, Answer(429), Answer(429, {"Retry-After": "86400"})]
    download(asset_of(server), tmp_path, wait=waits.append)
    assert_only_the_file(tmp_path)
    assert waits == [7.0, 4.0, 60.0], "what the server says, our own, at most a minute"


def test_retry_after_may_be_a_date(server: FaultyServer, tmp_path: Path, waits: list[float]) -> None:
    dates = [format_datetime(datetime.now(UTC) + timedelta(days=days), usegmt=True) for days in (-1, 1)]
    server.script[PATH] = [Answer(429, {"Retry-After": date}) for date in [*dates, "soon"]]
    download(asset_of(server), tmp_path, wait=waits.append)
    assert waits == [0.0, 60.0, 10.0]


def test_an_html_page_does_not_replace_what_is_there(server: FaultyServer, tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz.part").write_bytes(CONTENT[:1_400_000])
    server.script[PATH] = [Answer(content=HTML, ranges=False)]
    with pytest.raises(NetworkError, match="HTML page"):
        download(asset_of(server, checked=False, md5=hashlib.md5(CONTENT).hexdigest()), tmp_path)
    assert (tmp_path / "a.tar.gz.part").stat().st_size == 1_400_000
    download(asset_of(server), tmp_path)
    assert server.asked(PATH) == ["bytes=1400000-", "bytes=1400000-"]
    assert_only_the_file(tmp_path)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(content=CONTENT[:-9]), f"it has {len(CONTENT) - 9:,} bytes there, it should have {len(CONTENT):,}"),
        (Answer(content=CONTENT + b"more"), f"it has {len(CONTENT) + 4:,} bytes there"),
        (Answer(content=OTHER), "its md5 is"),
        (Answer(content=b"PK" + CONTENT[2:]), "it is not a tar.gz archive"),
        (Answer(content=b""), "it has 0 bytes there|it is empty"),
        (Answer(content=b"\x1f"), "it is not a tar.gz archive"),
    ],
    ids=["truncated", "too long", "other bytes", "other kind", "empty", "one byte"],
)
def test_a_wrong_file_is_refused_and_not_continued(
    server: FaultyServer, tmp_path: Path, answer: Answer, words: str
) -> None:
    server.script[PATH] = [answer]
    with pytest.raises(NetworkError, match=words):
        download(asset_of(server), tmp_path, wait=pytest.fail)
    assert not list(tmp_path.iterdir())
    download(asset_of(server), tmp_path)
    assert server.asked(PATH) == [None, None]
    assert_only_the_file(tmp_path)


def test_a_wrong_beginning_from_elsewhere_is_fetched_again(server: FaultyServer, tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz.part").write_bytes(OTHER[:1000])
    download(asset_of(server), tmp_path)
    assert server.asked(PATH) == ["bytes=1000-", None]
    assert_only_the_file(tmp_path)


@pytest.mark.parametrize("there", [CONTENT, CONTENT + b"more", OTHER], ids=["whole", "too long", "other bytes"])
@pytest.mark.parametrize("checked", [True, False])
def test_a_part_of_full_length_is_taken_only_if_right(
    server: FaultyServer, tmp_path: Path, there: bytes, checked: bool
) -> None:
    asset = asset_of(server, checked=checked)
    Part(asset, tmp_path / "a.tar.gz.part").begin(server.address + PATH, "")
    (tmp_path / "a.tar.gz.part").write_bytes(there)
    download(asset, tmp_path, wait=lambda seconds: None)
    if checked or len(there) != len(CONTENT):
        assert_only_the_file(tmp_path)


def test_halves_of_two_mirrors_are_joined_only_under_a_checksum(server: FaultyServer, tmp_path: Path) -> None:
    for checked, asked in ((True, "bytes=1000-"), (False, None)):
        folder = tmp_path / str(checked)
        server.always[PATH] = Answer(cut=1000, ranges=False)
        download(asset_of(server, PATH, SECOND, checked=checked), folder, wait=lambda seconds: None)
        assert server.asked(SECOND)[-1] == asked
        assert_only_the_file(folder)


def test_a_file_that_changes_on_the_server_is_not_joined_with_its_old_beginning(
    server: FaultyServer, tmp_path: Path, waits: list[float]
) -> None:
    server.script[PATH] = [Answer(content=OTHER, cut=1000)]
    download(asset_of(server, checked=False), tmp_path, wait=waits.append)
    assert server.requests[1].if_range == f'"{hashlib.md5(OTHER).hexdigest()}"'
    assert_only_the_file(tmp_path)


def test_redirects_are_followed_but_not_in_a_circle(server: FaultyServer, tmp_path: Path) -> None:
    server.always[PATH] = Answer(302, {"Location": SECOND})
    download(asset_of(server), tmp_path / "one")
    assert_only_the_file(tmp_path / "one")
    server.always[SECOND] = Answer(302, {"Location": PATH})
    with pytest.raises(NetworkError, match="circle"):
        download(asset_of(server), tmp_path / "two")


def test_a_tgz_that_the_server_calls_an_encoding_arrives_as_it_is(server: FaultyServer, tmp_path: Path) -> None:
    server.always[PATH] = Answer(headers={"Content-Encoding": "gzip"})
    download(asset_of(server), tmp_path)
    assert_only_the_file(tmp_path)


@pytest.mark.parametrize("mirror", ["http://127.0.0.1:1", "ftp://127.0.0.1", "nonsense", "http://"])
def test_an_address_where_nobody_answers_is_no_crash(
    server: FaultyServer, tmp_path: Path, mirror: str, waits: list[float]
) -> None:
    with pytest.raises(NetworkError):
        download(asset_of(server), tmp_path, mirrors=[mirror], wait=waits.append)
    download(asset_of(server), tmp_path, mirrors=[mirror, f"{server.address}/first/"], wait=waits.append)
    assert_only_the_file(tmp_path)


def test_a_disk_too_small_is_told_before_a_byte_is_written(
    server: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9, 1000))
    with pytest.raises(ResourceError, match=f"needs {len(CONTENT):,} more"):
        download(asset_of(server, PATH, SECOND), tmp_path)
    assert server.asked(SECOND) == [], "another mirror does not help"
    monkeypatch.undo()
    download(asset_of(server), tmp_path)
    assert_only_the_file(tmp_path)


def test_a_disk_that_fills_keeps_what_is_there(
    server: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Part.append

    def fills(self: Part, blocks: Iterator[bytes]) -> Iterator[int]:
        for size in original(self, blocks):
            if size > 1_000_000:
                raise OSError(errno.ENOSPC, "No space left on device")
            yield size

    monkeypatch.setattr(Part, "append", fills)
    with pytest.raises(ResourceError, match="no room left"):
        download(asset_of(server), tmp_path)
    monkeypatch.undo()
    kept = (tmp_path / "a.tar.gz.part").stat().st_size
    assert 1_000_000 < kept < len(CONTENT)
    download(asset_of(server), tmp_path)
    assert server.asked(PATH)[-1] == f"bytes={kept}-"
    assert_only_the_file(tmp_path)


def test_two_processes_do_not_write_the_same_file(server: FaultyServer, tmp_path: Path) -> None:
    with alone(tmp_path / ".a.tar.gz.lock", "busy"), pytest.raises(SvipError, match="another process is downloading"):
        download(asset_of(server), tmp_path)
    download(asset_of(server), tmp_path)
    assert_only_the_file(tmp_path)


def test_certificates_that_are_not_there_are_told_by_their_variable(
    server: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _trusted.cache_clear()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "gone.pem"))
    with pytest.raises(NetworkError, match="the connection that the environment asks for") as caught:
        download(asset_of(server), tmp_path)
    assert "SSL_CERT_FILE" in caught.value.why


def test_a_file_of_the_users_is_judged_like_a_downloaded_one(server: FaultyServer, tmp_path: Path) -> None:
    asset, path = asset_of(server), tmp_path / "mine"
    for content, words in ((CONTENT, ""), (OTHER, "its md5"), (CONTENT[:9], "bytes"), (HTML, "HTML"), (b"", "empty")):
        path.write_bytes(content)
        problem = problem_of(asset, path)
        assert words in problem
        assert bool(problem) == bool(words)
