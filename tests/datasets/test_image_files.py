"""Test that every file below a folder is an image, is skipped with a reason, or is a known system file."""

from __future__ import annotations

import os
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from svipctl.datasets.image_files import entries, is_image
from svipctl.datasets.images import decode

FORMATS = {"JPEG": "jpg", "PNG": "png", "GIF": "gif", "BMP": "bmp", "WEBP": "webp"}


def encoded(kind: str) -> bytes:
    file = BytesIO()
    Image.new("RGB", (4, 3)).save(file, kind)
    return file.getvalue()


def found(folder: Path) -> dict[str, str]:
    return {entry.path.relative_to(folder).as_posix(): entry.left_out for entry in entries(folder)}


ENDINGS = (
    "jpg",
    "JPEG",
    "jpe",
    "jfif",
    "jif",
    "pjpeg",
    "png",
    "apng",
    "bmp",
    "dib",
    "webp",
    "gif",
    "tif",
    "TIFF",
    "mpo",
)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_with_an_image_suffix_is_an_image(ending: str, tmp_path: Path) -> None:
    (tmp_path / f"a.{ending}").touch()
    assert found(tmp_path) == {f"a.{ending}": ""}


@pytest.mark.parametrize("name", ["a", "a.img", "a.1", "a.jpg.2", "a.jpg_large", "Ä.bild", "a b", "a."])
@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_with_an_image_signature_is_an_image_under_any_name(kind: str, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(encoded(kind))
    assert found(tmp_path) == {name: ""}
    assert decode(tmp_path / name).size == (4, 3)


LEFT_OUT: dict[str, Callable[[Path], object]] = {
    "notes.txt": lambda path: path.write_text("BMW, a text"),
    "a.heic": lambda path: path.write_bytes(b"\0\0\0\x18ftypheic" + bytes(20)),
    "raw.nef": lambda path: path.write_bytes(b"II*\0\x08\0\0\0" + bytes(20)),
    "a.svg": lambda path: path.write_text("<svg/>"),
    "empty": Path.touch,
    "a.jpg~": lambda path: path.write_bytes(encoded("JPEG")),
    "a.jpg_original": lambda path: path.write_bytes(encoded("JPEG")),
    "a.jpg.part": lambda path: path.write_bytes(encoded("JPEG")),
    ".hidden.jpg": lambda path: path.write_bytes(encoded("JPEG")),
    ".folder": Path.mkdir,
    "pipe": lambda path: os.mkfifo(path),
    "device": lambda path: path.symlink_to("/dev/zero"),
    "nothing": lambda path: path.symlink_to("gone"),
    "itself": lambda path: path.symlink_to(path),
    "circle": lambda path: path.symlink_to(path.parent),
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_every_skipped_file_has_a_reason(name: str, tmp_path: Path) -> None:
    LEFT_OUT[name](tmp_path / name)
    assert found(tmp_path).keys() == {name}
    assert found(tmp_path)[name]


JUNK = (".DS_Store", "._a.jpg", "Thumbs.db", "ehthumbs.db", "desktop.ini", ".gitkeep", ".nomedia", ".directory")
JUNK_FOLDERS = (
    "@eaDir",
    "__MACOSX",
    ".thumbs",
    ".thumbnails",
    ".ipynb_checkpoints",
    ".git",
    "$RECYCLE.BIN",
    ".Trash-1000",
)


@pytest.mark.parametrize("name", [*JUNK, *JUNK_FOLDERS])
def test_system_files_are_ignored(name: str, tmp_path: Path) -> None:
    if name in JUNK:
        (tmp_path / name).write_bytes(b"\0\0\0\1Bud1")
    else:
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.jpg").touch()
    assert found(tmp_path) == {}


def test_linked_folders_and_files_are_followed_and_each_folder_is_listed_once(tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    for name in ("a.jpg", "deep/b.jpg"):
        (tmp_path / "elsewhere" / name).touch()
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    (folder / "other").symlink_to(tmp_path / "elsewhere" / "deep")
    (folder / "z.jpg").symlink_to(tmp_path / "elsewhere" / "a.jpg")
    assert found(folder) == {
        "z.jpg": "",
        "link/a.jpg": "",
        "link/deep/b.jpg": "",
        "other": "a link to a folder that is already listed",
    }


@pytest.mark.parametrize("make", [Path.touch, os.mkfifo, lambda path: path.symlink_to("gone"), lambda path: None])
def test_a_path_that_is_not_a_folder_is_one_closed_entry(make: Callable[[Path], object], tmp_path: Path) -> None:
    make(tmp_path / "images")
    (entry,) = entries(tmp_path / "images")
    assert entry.closed
    assert "cannot be listed" in entry.left_out


NAMES = st.text(st.sampled_from("abÄ.~_ \\Jjpgheifn"), min_size=1, max_size=8).filter(
    lambda name: name.strip(".") and not name.startswith("._")
)
CONTENTS = st.sampled_from([b"", b"text", encoded("JPEG"), encoded("PNG")])


@settings(max_examples=60)
@given(files=st.dictionaries(st.lists(NAMES, min_size=1, max_size=3).map(tuple), CONTENTS, max_size=6))
def test_every_file_is_listed(files: dict[tuple[str, ...], bytes], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder, written = tmp_path_factory.mktemp("any"), {}
    for parts, content in files.items():
        path = folder.joinpath(*parts)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        except OSError:  # a file in place of a folder
            continue
        written[path.relative_to(folder).as_posix()] = content
    listed = found(folder)
    for name, content in written.items():
        parents = [str(parent) for parent in Path(name).parents]
        is_hidden_text = Path(name).name.startswith(".") and not is_image(folder / name)
        assert name in listed or is_hidden_text or any(listed.get(parent) == "hidden" for parent in parents)
        if content and content != b"text" and not any(part.startswith(".") for part in Path(name).parts):
            assert listed[name] == "" or name.endswith("~")
