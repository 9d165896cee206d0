"""Test rows on disk: read as written, by name, without mapping the file."""

from __future__ import annotations

import errno
import os
import pickle
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from svipctl.datasets.store import Bytes, Shape, Store, StorePlan, Written, fill_store
from svipctl.errors import ConfigError, DataError

SIZES = (5, 1, 7, 64, 2, 300)


def plan_of(folder: Path, shapes: Iterable[Shape]) -> StorePlan:
    """Plan a store of rows of these shapes for the files 0, 1, ..."""
    shapes = tuple(shapes)
    return StorePlan(folder / "store", {"made by": "a test"}, tuple(map(str, range(len(shapes)))), shapes)


def row(plan: StorePlan, number: int) -> Bytes:
    """Return the content of a row, always the same."""
    return np.random.default_rng(number).integers(0, 256, plan.shapes[number], dtype=np.uint8)


def computing(plan: StorePlan, rows_at_once: int = 2) -> Callable[[list[int]], Iterator[Written]]:
    """Return a function that writes the missing rows of a plan."""

    def compute(missing: list[int]) -> Iterator[Written]:
        for start in range(0, len(missing), rows_at_once):
            rows = missing[start : start + rows_at_once]
            yield plan.write(rows, (row(plan, number) for number in rows))

    return compute


def filled(folder: Path, shapes: Iterable[Shape]) -> tuple[StorePlan, Store]:
    """Return a finished store with its plan."""
    plan = plan_of(folder, shapes)
    fill_store(plan, computing(plan))
    store = plan.find()
    assert store is not None
    return plan, store


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 5)), max_size=6))
def test_rows_of_any_shape_are_read_as_written(tmp_path_factory: pytest.TempPathFactory, shapes: list[Shape]) -> None:
    plan, store = filled(tmp_path_factory.mktemp("any"), shapes)
    for number in reversed(range(len(shapes))):
        assert np.array_equal(store.read(str(number)), row(plan, number))
    assert list(store.damaged()) == []


def test_rows_of_one_shape_are_an_array_that_numpy_loads(tmp_path: Path) -> None:
    plan, store = filled(tmp_path, [(2, 3)] * 4)
    assert np.array_equal(np.load(store.folder / "rows.npy"), [row(plan, number) for number in range(4)])


def test_rows_are_gathered_in_any_order(tmp_path: Path) -> None:
    plan, store = filled(tmp_path, [(2, 3)] * 4)
    out = np.zeros((3, 2, 3), dtype=np.uint8)
    store.gather(["3", "0", "3"], out)
    assert np.array_equal(out, [row(plan, number) for number in (3, 0, 3)])
    with pytest.raises(ValueError, match="contiguous"):
        store.gather(["0"], np.zeros((1, 4, 3), dtype=np.uint8)[:, ::2])
    with pytest.raises(ValueError, match="another size"):
        store.gather(["0"], np.zeros((1, 5), dtype=np.uint8))


def test_a_store_opened_by_another_process_has_the_same_rows(tmp_path: Path) -> None:
    plan, store = filled(tmp_path, [(size,) for size in SIZES])
    assert np.array_equal(pickle.loads(pickle.dumps(store)).read("5"), row(plan, 5))


def test_rows_read_and_written_in_small_pieces_are_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.preadv, os.pwrite
    monkeypatch.setattr(os, "preadv", lambda file, buffers, start: read(file, [buffers[0][:7]], start))
    monkeypatch.setattr(os, "pwrite", lambda file, content, start: write(file, content[:7], start))
    plan, store = filled(tmp_path, [(size,) for size in SIZES])
    assert all(np.array_equal(store.read(file), row(plan, int(file))) for file in plan.files)


def test_a_file_truncated_while_it_is_read_is_a_data_error(tmp_path: Path) -> None:
    _, store = filled(tmp_path, [(size,) for size in SIZES])
    os.truncate(store.folder / "rows.npy", 200)
    with pytest.raises(DataError, match="truncated"):
        store.read("5")


def test_the_file_is_closed_with_its_last_reader(tmp_path: Path) -> None:
    plan, _ = filled(tmp_path, [(4,)])
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0  # noqa: PTH208
    for _ in range(50):
        assert plan.find()
    after = len(os.listdir("/proc/self/fd")) if before else 0  # noqa: PTH208
    assert after <= before


@pytest.mark.parametrize("name", ["rows.npy", "checksums.npy", "index.json"])
@pytest.mark.parametrize("length", [0, -1])
def test_a_store_with_a_truncated_file_is_not_found_but_replaced(name: str, length: int, tmp_path: Path) -> None:
    plan, store = filled(tmp_path, [(size,) for size in SIZES])
    path = store.folder / name
    path.write_bytes(path.read_bytes()[:length])
    assert plan.find() is None
    with pytest.raises(DataError, match="is damaged"):
        Store(plan.folder)
    assert fill_store(plan, computing(plan)) == "created"
    assert plan.find() is not None


@pytest.mark.parametrize("function", ["open", "preadv"])
@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.ESTALE])
def test_a_store_that_the_system_cannot_read_is_neither_damaged_nor_replaced(
    function: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, store = filled(tmp_path, [(4,), (4,)])

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, function, fail)
        with pytest.raises(DataError, match=os.strerror(number)) as caught:
            list(store.damaged()) if function == "preadv" else fill_store(plan, computing(plan))
    assert str(store.folder) in caught.value.what
    assert "damaged" not in str(caught.value)
    assert fill_store(plan, computing(plan)) == "fresh"


def test_an_unfinished_row_makes_a_store_unfinished(tmp_path: Path) -> None:
    plan, store = filled(tmp_path, [(size,) for size in SIZES])
    checksums = np.load(store.folder / "checksums.npy")
    checksums[2] = 0
    np.save(store.folder / "checksums.npy", checksums)
    assert plan.find() is None


def test_only_missing_rows_are_computed_again(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, [(size,) for size in SIZES])

    def stopped(missing: list[int]) -> Iterator[Written]:
        yield plan.write([4, 1], [row(plan, 4), row(plan, 1)])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill_store(plan, stopped)
    assert plan.find() is None
    begun = plan.find(is_finished=False)
    assert begun is not None
    assert begun.missing() == [0, 2, 3, 5]
    assert plan.bytes_to_write() == 5 + 7 + 64 + 300
    assert fill_store(plan, computing(plan)) == "resumed"
    store = plan.find()
    assert store is not None
    assert all(np.array_equal(store.read(file), row(plan, int(file))) for file in plan.files)
    assert fill_store(plan, lambda missing: pytest.fail("computed again")) == "fresh"
    assert fill_store(plan, computing(plan), force=True) == "created"


def test_unfinished_work_of_another_plan_is_not_continued(tmp_path: Path) -> None:
    plan, other = plan_of(tmp_path, [(3,), (4,)]), plan_of(tmp_path, [(4,), (3,)])
    with pytest.raises(DataError, match="lack 1 rows"):
        fill_store(plan, lambda missing: [plan.write([0], [row(plan, 0)])])
    assert plan.find(is_finished=False)
    assert not other.find(is_finished=False)
    assert fill_store(other, computing(other)) == "created"
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_a_row_of_another_size_is_refused(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, [(3,), (4,)])
    with pytest.raises(ValueError, match="has 5 bytes"):
        fill_store(plan, lambda missing: [plan.write([0], [np.zeros(5, dtype=np.uint8)])])


def test_a_second_process_is_refused_unless_it_waits(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, [(3,), (4,)])

    def compute(missing: list[int]) -> Iterator[Written]:
        with pytest.raises(ConfigError, match="another process"):
            fill_store(plan, computing(plan))
        yield from computing(plan)(missing)

    assert fill_store(plan, compute) == "created"
