"""Test pickles of other programs: read as numpy and torch read them, without executing what they name."""

from __future__ import annotations

import argparse
import math
import os
import pickle
import re
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from svipctl.errors import DataError
from svipctl.model.weights import read_safetensors
from svipctl.pickles import read_pickled_array, read_torch

TABLE = np.random.default_rng(0).standard_normal((5, 3))
NAMESPACE = [argparse.Namespace]
HUGE = 2**32  # bytes of address space, far more than such a file needs


class Harmful:
    """Would create a folder if it were unpickled without restrictions."""

    def __reduce__(self) -> Any:
        return (os.mkdir, ("harm",))


def of_numpy_1(content: bytes) -> bytes:
    """Return the same pickle with the names of numpy 1."""
    for length in (b"\x16", b"\x13"):
        content = content.replace(b"\x8c" + length + b"numpy._core", b"\x8c" + bytes([length[0] - 1]) + b"numpy.core")
    content = content.replace(b"numpy._core", b"numpy.core")
    framed = content[2:3] == pickle.FRAME
    return content[:3] + (len(content) - 11).to_bytes(8, "little") + content[11:] if framed else content


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("dtype", ["<f8", ">f8", "f4", "i8", "u2"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("spelt", [bytes, of_numpy_1])
def test_a_pickled_table_is_read_unchanged(
    protocol: int, dtype: str, order: Any, spelt: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    table = np.asarray(100 * np.abs(TABLE), dtype, order=order)
    (tmp_path / "t.pkl").write_bytes(spelt(pickle.dumps(table, protocol=protocol)))
    found = read_pickled_array(tmp_path / "t.pkl")
    assert found.dtype == np.float64
    assert np.array_equal(found, table)


@pytest.mark.parametrize("shape", [(0, 4), (1, 1), (2, 3, 4)])
@pytest.mark.parametrize("protocol", range(6))
def test_a_table_of_any_shape_keeps_its_shape(shape: tuple[int, ...], protocol: int, tmp_path: Path) -> None:
    table = np.arange(math.prod(shape), dtype=np.float64).reshape(shape)
    (tmp_path / "t.pkl").write_bytes(pickle.dumps(table, protocol=protocol))
    found = read_pickled_array(tmp_path / "t.pkl")
    assert found.shape == shape
    assert np.array_equal(found, table)


def test_containers_numbers_and_texts_of_a_torch_file_are_read(tmp_path: Path) -> None:
    value = {
        "names": np.array(["one", "ä"], dtype=object),
        "text": np.array(["one", "two"]),
        "number": np.float32(1.5),
        "deep": [(1, TABLE), {"a": [3, 4]}],
        "none": np.zeros((0, 4)),
    }
    torch.save(value, tmp_path / "v.pth")
    found = read_torch(tmp_path / "v.pth")
    assert np.asarray(found["names"]).tolist() == ["one", "ä"]
    assert np.asarray(found["text"]).tolist() == ["one", "two"]
    assert (found["number"], type(found["number"])) == (1.5, float)
    assert np.array_equal(found["deep"][0][1], TABLE)
    assert found["deep"][1] == {"a": [3, 4]}
    assert np.asarray(found["none"]).shape == (0, 4)


@pytest.mark.parametrize("read", [read_pickled_array, read_torch])
def test_a_harmful_call_is_named_and_not_executed(
    read: Callable[[Path], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "f"
    path.write_bytes(pickle.dumps([1, Harmful()])) if read is read_pickled_array else torch.save([1, Harmful()], path)
    with pytest.raises(DataError, match="posix"):
        read(path)
    assert list(tmp_path.iterdir()) == [path]


GLOBALS = ("numpy\nndarray", "numpy\ndtype", "numpy.core.multiarray\n_reconstruct", "numpy._core.multiarray\nscalar")


@pytest.mark.parametrize("name", GLOBALS)
@pytest.mark.parametrize("state", [b"}(U\x04codeK\x01U\x08__name__U\x01xu", b"N}(U\x08__name__U\x01xu\x86"])
def test_a_file_cannot_change_how_the_next_one_is_read(name: str, state: bytes, tmp_path: Path) -> None:
    (tmp_path / "harmful.pkl").write_bytes(b"\x80\x02c" + name.encode() + b"\n" + state + b"b.")
    with pytest.raises(DataError):
        read_pickled_array(tmp_path / "harmful.pkl")
    with pytest.raises(DataError):
        read_torch(tmp_path / "harmful.pkl")
    (tmp_path / "t.pkl").write_bytes(pickle.dumps(TABLE, protocol=2))
    assert np.array_equal(read_pickled_array(tmp_path / "t.pkl"), TABLE)
    torch.save(document(), tmp_path / "c.pth")
    assert np.array_equal(read_torch(tmp_path / "c.pth", allowed=NAMESPACE)["table"], TABLE)


HUGE_CLAIMS = {
    "memo index": b"\x80\x02Nr\xff\xff\xff\x7f.",
    "bytes": b"\x80\x04\x8e" + (2**40).to_bytes(8, "little") + b"x.",
    "bytearray": b"\x80\x05\x96" + (2**40).to_bytes(8, "little") + b"x.",
    "text": b"\x80\x04\x8d" + (2**40).to_bytes(8, "little") + b"x.",
    "frame": b"\x80\x04\x95" + (2**40).to_bytes(8, "little") + b"N.",
    "whole number": b"\x80\x02\x8b\xff\xff\xff\x7fx.",
    "new array": b"\x80\x02cnumpy\nndarray\n\x8a\x05\x00\x00\x00\x00\x10\x85\x85R.",
    "bytes called": b"\x80\x02cbuiltins\nbytes\n\x8a\x05\x00\x00\x00\x00\x10\x85R.",
    "shape": pickle.dumps(TABLE, protocol=2).replace(b"K\x05K\x03\x86", b"\x8a\x05\x00\x00\x00\x00\x10K\x03\x86"),
    "item size": pickle.dumps(np.zeros(3, "S9"), protocol=2).replace(b"S9", b"S999999999999"),
}


@pytest.mark.parametrize("claim", HUGE_CLAIMS)
def test_a_small_file_that_declares_gigabytes_is_refused_without_allocating_them(
    claim: str, tmp_path: Path, little_memory: None
) -> None:
    (tmp_path / "t.pkl").write_bytes(HUGE_CLAIMS[claim])
    with pytest.raises(DataError):
        read_pickled_array(tmp_path / "t.pkl")


@pytest.mark.parametrize("content", [b"", b"text", b"\x80\x05", pickle.dumps(TABLE)[:-9], pickle.dumps([TABLE])])
def test_an_invalid_file_is_refused_with_a_reason(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "t.pkl").write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_pickled_array(tmp_path / "t.pkl")
    assert caught.value.why


def test_a_file_of_nested_references_is_read_in_linear_time(tmp_path: Path) -> None:
    value: list[Any] = [TABLE]
    for _ in range(200):
        value = [value, value]
    (tmp_path / "v.pkl").write_bytes(pickle.dumps(value))
    with pytest.raises(DataError, match="it contains a list"):
        read_pickled_array(tmp_path / "v.pkl")
    torch.save(value, tmp_path / "v.pth")
    found = read_torch(tmp_path / "v.pth")
    for _ in range(200):
        found = found[1]
    assert np.array_equal(found[0], TABLE)


Changes = list[tuple[float, bytes, int]]
CHANGES = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.binary(max_size=9), st.integers(0, 9)), min_size=1, max_size=3
)


def changed(content: bytes, changes: Changes) -> bytes:
    for where, inserted, removed in changes:
        place = int(where * len(content))
        content = content[:place] + inserted + content[place + removed :]
    return content


@pytest.fixture
def little_memory() -> Any:
    """Limit the memory, so that allocating gigabytes raises a MemoryError."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else None
    if pages is not None:
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + HUGE, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_changed_pickle_gives_numbers_or_a_data_error(protocol: int, tmp_path: Path, little_memory: None) -> None:
    content = pickle.dumps(TABLE, protocol=protocol)

    @settings(max_examples=80)
    @given(CHANGES)
    def holds(changes: Changes) -> None:
        (tmp_path / "t.pkl").write_bytes(changed(content, changes))
        try:
            found = read_pickled_array(tmp_path / "t.pkl")
        except DataError:
            return
        assert found.dtype == np.float64
        assert found.size <= len(content)

    holds()


def document() -> dict[str, Any]:
    """Return a small document like that of the published code."""
    return {
        "epoch": 3,
        "args": argparse.Namespace(lr=0.1, name="cub", names=np.array(["a", "b"], dtype=object)),
        "best": {"H": np.float64(70.5), "gamma": torch.tensor(0.25)},
        "table": TABLE,
        "network": {"w": torch.arange(6.0).view(2, 3)},
    }


@pytest.mark.parametrize("zipped", [True, False])
def test_a_torch_file_with_a_namespace_is_read_as_plain_values(zipped: bool, tmp_path: Path) -> None:
    torch.save(document(), tmp_path / "c.pth", _use_new_zipfile_serialization=zipped)
    found = read_torch(tmp_path / "c.pth", allowed=NAMESPACE)
    args = found["args"]
    assert (args.lr, args.name, np.asarray(args.names).tolist()) == (0.1, "cub", ["a", "b"])
    assert (found["best"]["H"], found["best"]["gamma"].item()) == (70.5, 0.25)
    assert np.array_equal(found["table"], TABLE)
    assert torch.equal(found["network"]["w"], document()["network"]["w"])
    with pytest.raises(DataError, match=r"argparse\.Namespace"):
        read_torch(tmp_path / "c.pth")


def test_a_torch_file_of_numpy_1_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _save_with_names_of_numpy_1(document(), tmp_path / "c.pth")
    assert b"numpy._core" not in (tmp_path / "c.pth").read_bytes()
    assert np.array_equal(read_torch(tmp_path / "c.pth", allowed=NAMESPACE)["table"], TABLE)


def _save_with_names_of_numpy_1(value: Any, path: Path) -> None:
    class Pickler(pickle._Pickler):
        def save_global(self, obj: Any, name: str | None = None) -> None:
            module = getattr(obj, "__module__", None) or ""
            if module.startswith("numpy._core"):
                spelt = f"c{module.replace('_core', 'core')}\n{obj.__name__}\n"
                self.write(spelt.encode())
                self.memoize(obj)
            else:
                super().save_global(obj, name)

        dispatch = {**pickle._Pickler.dispatch, type(np.array): save_global, type(np.sum): save_global}

    class Names:
        Pickler = None
        dumps = staticmethod(pickle.dumps)

    Names.Pickler = Pickler  # type: ignore[assignment]
    torch.save(value, path, pickle_module=Names)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_changed_torch_file_gives_values_or_a_data_error(zipped: bool, tmp_path: Path, little_memory: None) -> None:
    torch.save(document(), tmp_path / "c.pth", _use_new_zipfile_serialization=zipped)
    content = (tmp_path / "c.pth").read_bytes()

    @settings(max_examples=40)
    @given(CHANGES)
    def holds(changes: Changes) -> None:
        (tmp_path / "d.pth").write_bytes(changed(content, changes))
        try:
            read_torch(tmp_path / "d.pth", allowed=NAMESPACE)
        except DataError:
            return

    holds()


@pytest.mark.parametrize(
    "content",
    [
        b"\x93",
        bytes(4096),
        b"\x80\x02}q\x00(0",
        pickle.dumps(Harmful(), 2),
        pickle.dumps({"a": Harmful()}),
        b"\x80\x02cevil\nout_of_memory\n)R.",
        b"\x80\x02cnumpy\narange\n)R.",
        b"PK\x03\x04",
    ],
)
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_the_reason_is_one_line_and_never_the_advice_to_execute_the_file(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file.pth"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_torch(path)
    assert 0 < len(caught.value.why.splitlines()) == 1
    assert not re.search("weights.only|will likely succeed|file an issue|trust|allowlist", caught.value.why)


def test_a_file_that_the_system_cannot_read_is_not_called_damaged(tmp_path: Path) -> None:
    unreadable = Path("/proc/self/mem")  # a regular file whose first byte gives an error
    if not unreadable.exists():
        pytest.skip("there is no /proc")
    (tmp_path / "file.pth").symlink_to(unreadable)
    (tmp_path / "file.safetensors").symlink_to(unreadable)
    for read, name in ((read_torch, "file.pth"), (read_safetensors, "file.safetensors")):
        with pytest.raises(DataError, match=r"file\.\w+ cannot be read"):
            read(tmp_path / name)
