"""Test a data folder: what is read from it, and that any content is read or raises a SvipError."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from svipctl.datasets.folder import open_folder
from svipctl.datasets.status import status_of
from svipctl.errors import DataError, SvipError
from tests.conftest import ATTRIBUTES, SEEN, TESTED, TRAINED, UNSEEN, write_rows, write_small_folder


def test_a_written_folder_is_read_back(shared_folder: Path) -> None:
    benchmark = open_folder(shared_folder)
    assert benchmark.name == "small"
    assert benchmark.classes == (*SEEN, *UNSEEN)
    assert benchmark.attributes == ATTRIBUTES
    assert benchmark.groups == ((0, 1, 2), (3, 4, 5))
    assert benchmark.class_attributes[4].tolist() == [0, 1, 0, 0, 1, 0]
    assert len(benchmark.trainval) == len(SEEN) * TRAINED
    assert len(benchmark.test_seen) == len(SEEN) * TESTED
    assert {benchmark.images[index].split("/")[1] for index in benchmark.test_unseen} == set(UNSEEN)
    assert all(
        benchmark.classes[label] == image.split("/")[1] for image, label in zip(benchmark.images, benchmark.labels)
    )
    assert benchmark.masks == ()


def test_unseen_txt_holds_out_every_fifth_image_of_a_seen_class(small_folder: Path) -> None:
    (small_folder / "split.csv").unlink()
    (small_folder / "unseen.txt").write_text("\n".join(UNSEEN) + "\n\n")
    benchmark = open_folder(small_folder)
    assert [benchmark.classes[label] for label in benchmark.unseen_classes] == list(UNSEEN)
    counts = np.bincount(benchmark.labels[benchmark.test_seen], minlength=8)
    assert counts.tolist() == [1] * len(SEEN) + [0, 0]
    assert len(benchmark.trainval) == len(SEEN) * 7


def test_without_image_files_split_csv_lists_the_images_in_the_same_order(small_folder: Path) -> None:
    deep = small_folder / "images" / "seen_b"
    (deep / "a").mkdir()
    (deep / "3.png").rename(deep / "a" / "3.png")
    rows = [
        line.replace("seen_b/3", "seen_b/a/3").split(",") for line in (small_folder / "split.csv").read_text().split()
    ]
    write_rows(small_folder / "split.csv", [rows[0], *rows[:0:-1]])  # type: ignore[arg-type, list-item]
    whole = open_folder(small_folder)
    assert open_folder(small_folder, with_images=False).images == whole.images
    shutil.rmtree(small_folder / "images")
    listed = open_folder(small_folder, with_images=False)
    assert listed.images == whole.images
    for name in ("labels", "trainval", "test_seen", "test_unseen"):
        np.testing.assert_array_equal(getattr(listed, name), getattr(whole, name))
    assert listed.folds == whole.folds
    with pytest.raises(DataError, match="it lacks images"):
        open_folder(small_folder)


def test_without_image_files_and_split_csv_the_images_are_unknown(small_folder: Path) -> None:
    shutil.rmtree(small_folder / "images")
    (small_folder / "split.csv").unlink()
    (small_folder / "unseen.txt").write_text("unseen_x\n")
    with pytest.raises(DataError, match="it lacks images"):
        open_folder(small_folder, with_images=False)


def test_a_class_that_is_only_in_split_csv_is_named(small_folder: Path) -> None:
    shutil.rmtree(small_folder / "images")
    with (small_folder / "split.csv").open("a") as file:
        file.write("nowhere/0.png,trainval\n0.png,trainval\n")
    with pytest.raises(DataError, match=r"no image images/nowhere/0\.png[\s\S]*no image images/0\.png"):
        open_folder(small_folder, with_images=False)


def test_every_problem_is_reported_at_once(small_folder: Path) -> None:
    rows = [line.split(",") for line in (small_folder / "attributes.csv").read_text().splitlines()]
    rows[0][2] = rows[0][1]
    rows[2][3] = "much"
    rows[3].append("1")
    write_rows(small_folder / "attributes.csv", [*map(list, rows)])
    split = (small_folder / "split.csv").read_text().splitlines()
    text = "\n".join([*split, split[1], "seen_a/99.png,trainval", "seen_a/0.png,tset_seen"])
    (small_folder / "split.csv").write_text(text + "\n")
    with pytest.raises(DataError) as caught:
        open_folder(small_folder)
    for part in (
        f"attribute {ATTRIBUTES[0]!r} occurs twice",
        "'much' is not a number",
        "class 'seen_b' has 7 values for 6 attributes",
        "images/seen_a/0.png appears twice",
        "there is no image images/seen_a/99.png",
        "'tset_seen' is not a split (did you mean 'test_seen'",
    ):
        assert part in caught.value.why
    assert "6 problems" in caught.value.what


@pytest.mark.parametrize("factor", [1e200, 1e-200])
def test_attributes_whose_length_cannot_be_computed_are_a_problem(small_folder: Path, factor: float) -> None:
    rows = [line.split(",") for line in (small_folder / "attributes.csv").read_text().splitlines()]
    rows[-1][1:] = [str(factor * float(cell or 0)) for cell in rows[-1][1:]]
    write_rows(small_folder / "attributes.csv", [*map(list, rows)])
    with pytest.raises(DataError, match=rf"class '{rows[-1][0]}' has attributes of up to"):
        open_folder(small_folder)


def test_lists_of_unseen_classes_that_contradict_are_a_problem(small_folder: Path) -> None:
    unseen = sorted({open_folder(small_folder).classes[label] for label in open_folder(small_folder).unseen_classes})
    (small_folder / "unseen.txt").write_text("\n".join(unseen) + "\n")
    assert open_folder(small_folder).classes
    (small_folder / "unseen.txt").write_text("seen_a\n")
    with pytest.raises(DataError, match=r"unseen\.txt and split\.csv have different unseen classes: seen_a"):
        open_folder(small_folder)


def test_an_empty_folder_is_an_error_that_lists_the_required_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"lacks images, attributes\.csv, split\.csv or unseen\.txt"):
        open_folder(tmp_path)


def test_masks_are_found_and_missing_ones_are_a_problem(small_folder: Path) -> None:
    (small_folder / "masks").mkdir()
    with pytest.raises(DataError, match=r"masks/seen_a/0\.png is missing"):
        open_folder(small_folder)


def test_two_images_with_one_mask_are_a_problem(masked_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(masked_folder, tmp_path / "small"))
    image = folder / "images" / "seen_a" / "0.png"
    image.with_suffix(".jpg").write_bytes(image.read_bytes()[::-1])
    with (folder / "split.csv").open("a") as split:
        split.write("seen_a/0.jpg,trainval\n")
    with pytest.raises(DataError, match=r"masks/seen_a/0.png is the mask of several images"):
        open_folder(folder)


def test_ignored_images_and_masks_are_neither_counted_nor_verified(masked_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(masked_folder, tmp_path / "small"))
    count = status_of(str(folder), tmp_path).images
    for name in ("images/0.png", "masks/0.png", "masks/seen_a/gone.png"):
        (folder / name).write_bytes(b"no picture")
    status = status_of(str(folder), tmp_path, verify=True)
    assert (status.state, status.images, status.undecodable) == ("complete", count, ())
    (folder / "masks" / "seen_a" / "0.png").write_bytes(b"no picture")
    assert status_of(str(folder), tmp_path, verify=True).problem.endswith(
        "masks/seen_a/0.png: cannot identify its format"
    )


def test_folds_of_the_folder_are_used(small_folder: Path) -> None:
    rows = [[name, number // 2 + 1] for number, name in enumerate(SEEN)]
    write_rows(small_folder / "folds.csv", [["class", "fold"], *map(list, rows)])
    assert open_folder(small_folder).folds == ((0, 1), (2, 3), (4, 5))
    write_rows(small_folder / "folds.csv", [["class", "fold"], ["seen_z", 1], ["seen_a", 4]])
    with pytest.raises(DataError) as caught:
        open_folder(small_folder)
    assert "seen_z,1" in caught.value.why
    assert "seen_a,4" in caught.value.why


@pytest.mark.parametrize("name", ["split.csv", "unseen.txt", "folds.csv", "masks"])
def test_a_link_to_nothing_is_a_problem_like_an_unreadable_file(name: str, unsplit: Path) -> None:
    (unsplit / name).unlink(missing_ok=True)
    (unsplit / name).symlink_to("gone")
    with pytest.raises(DataError, match="cannot be used") as caught:
        open_folder(unsplit)
    assert name in caught.value.why


def test_groups_that_are_named_by_numbers_are_a_problem(small_folder: Path) -> None:
    rewrite(small_folder / "attributes.csv", lambda rows: rows.__setitem__(1, ["group", *"111222"]))
    with pytest.raises(DataError) as caught:
        open_folder(small_folder)
    assert "the second row 'group' has numbers" in caught.value.why


def test_folds_need_no_header_and_every_seen_class(small_folder: Path) -> None:
    rows = [[name, number // 2 + 1] for number, name in enumerate(SEEN)]
    write_rows(small_folder / "folds.csv", [*map(list, rows)])
    assert open_folder(small_folder).folds == ((0, 1), (2, 3), (4, 5))
    write_rows(small_folder / "folds.csv", [["class", "fold"], *map(list, rows[1:])])
    with pytest.raises(DataError) as caught:
        open_folder(small_folder)
    assert "seen class 'seen_a' is in no fold" in caught.value.why


def test_an_image_without_a_split_is_a_problem_and_an_unused_one_is_not(small_folder: Path) -> None:
    lines = (small_folder / "split.csv").read_text().splitlines()
    before = len(open_folder(small_folder).trainval)
    (small_folder / "split.csv").write_text("\n".join([lines[0], *lines[2:]]))
    with pytest.raises(DataError) as caught:
        open_folder(small_folder)
    assert "1 of 56 images are not in it, for instance images/seen_a/0.png" in caught.value.why
    (small_folder / "split.csv").write_text("\n".join([*lines[:1], "seen_a/0.png,unused", *lines[2:]]))
    assert len(open_folder(small_folder).trainval) == before - 1


def test_the_order_of_split_csv_does_not_matter(small_folder: Path) -> None:
    before = open_folder(small_folder)
    header, *lines = (small_folder / "split.csv").read_text().splitlines()
    (small_folder / "split.csv").write_text("\n".join([header, *reversed(lines)]))
    after = open_folder(small_folder)
    for part in ("trainval", "test_seen", "test_unseen"):
        assert np.array_equal(getattr(before, part), getattr(after, part))


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_folder(tmp_path_factory.mktemp("victim") / "small")


ROWS = st.lists(
    st.sampled_from(["", "group", "seen_a", "x", "1", "-1", "nan", "1e999", "trainval", '"', "\x00"]), max_size=5
)
CONTENT = st.one_of(
    st.binary(max_size=60),
    st.lists(ROWS.map(",".join), max_size=6).map(lambda lines: "\n".join(lines).encode()),
)


@pytest.mark.parametrize("name", ["attributes.csv", "split.csv", "folds.csv"])
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=CONTENT)
def test_any_table_is_read_or_a_svip_error(name: str, victim: Path, content: bytes) -> None:
    path = victim / name
    before = path.read_bytes() if path.exists() else None
    path.write_bytes(content)
    try:
        benchmark = open_folder(victim)
        assert np.isfinite(benchmark.class_attributes).all()
    except SvipError:
        pass  # a SvipError; any other exception fails the test
    finally:
        if before is None:
            path.unlink()
        else:
            path.write_bytes(before)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"\x80unseen"])
def test_an_unseen_txt_that_is_not_text_is_a_svip_error(content: bytes, small_folder: Path) -> None:
    (small_folder / "split.csv").unlink()
    (small_folder / "unseen.txt").write_bytes(content)
    with pytest.raises(SvipError):
        open_folder(small_folder)


def test_a_group_row_of_another_length_is_a_data_error(small_folder: Path) -> None:
    rows = [line.split(",") for line in (small_folder / "attributes.csv").read_text().splitlines()]
    rows[1].append("beyond")
    write_rows(small_folder / "attributes.csv", [*map(list, rows)])
    with pytest.raises(DataError):
        open_folder(small_folder)


def test_a_fold_of_an_unseen_class_is_a_data_error(small_folder: Path) -> None:
    write_rows(small_folder / "folds.csv", [["class", "fold"], *([name, 1] for name in (*SEEN[:3], UNSEEN[0]))])
    with pytest.raises(DataError):
        open_folder(small_folder)


def test_a_class_in_two_folds_is_a_data_error(small_folder: Path) -> None:
    write_rows(small_folder / "folds.csv", [["class", "fold"], ["seen_a", 1], ["seen_a", 2], ["seen_b", 3]])
    with pytest.raises(DataError):
        open_folder(small_folder)


@pytest.fixture
def unsplit(small_folder: Path) -> Path:
    """Return the tiny data folder with `unseen.txt`, so that each new image has a split."""
    (small_folder / "split.csv").unlink()
    (small_folder / "unseen.txt").write_text("\n".join(UNSEEN))
    return small_folder


def copy(folder: Path, name: str) -> None:
    """Add an image with its own content."""
    path = folder / "images" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = folder / "images" / "seen_a" / "0.png"
    path.write_bytes(picture.read_bytes() + name.encode())


def link(folder: Path, name: str, target: Path) -> None:
    shutil.move(folder / "images" / name, target)
    (folder / "images" / name).symlink_to(target, target_is_directory=True)


COUNTED: dict[str, tuple[int, Callable[[Path], object]]] = {
    "a subfolder": (1, lambda folder: copy(folder, "seen_a/deep/er/x.png")),
    "another ending": (1, lambda folder: copy(folder, "seen_a/x.jfif")),
    "capitals": (1, lambda folder: copy(folder, "seen_a/X.PNG")),
    "no ending": (1, lambda folder: copy(folder, "seen_a/x")),
    "an unknown ending": (1, lambda folder: copy(folder, "seen_a/x.2024")),
    "a linked class": (0, lambda folder: link(folder, "seen_b", folder.parent / "elsewhere")),
    "a linked picture": (1, lambda folder: (folder / "images/seen_a/x.png").symlink_to(folder / "images/seen_b/0.png")),
    "a linked folder of images": (0, lambda folder: link(folder, "", folder.parent / "all")),
    "a broken link": (1, lambda folder: (folder / "images/seen_a/x.png").symlink_to("gone")),
    "a pipe": (1, lambda folder: os.mkfifo(folder / "images/seen_a/x.png")),
}


@pytest.mark.parametrize("kind", COUNTED)
def test_every_image_of_a_class_counts(kind: str, unsplit: Path) -> None:
    before = len(open_folder(unsplit).images)
    more, change = COUNTED[kind]
    change(unsplit)
    benchmark = open_folder(unsplit)
    assert len(benchmark.images) == before + more
    assert not [warning for warning in benchmark.warnings if "ignored" in warning or "no images" in warning]


NAMED: dict[str, tuple[str, Callable[[Path], object]]] = {
    "an image outside of class folders": (
        "loose.png (not in a class folder)",
        lambda folder: copy(folder, "loose.png"),
    ),
    "a text": ("seen_a/notes.txt", lambda folder: (folder / "images/seen_a/notes.txt").write_text("notes")),
    "a photograph of another format": (
        "seen_a/x.heic (not a supported image)",
        lambda folder: (folder / "images/seen_a/x.heic").write_bytes(b"\0\0\0\x18ftypheic"),
    ),
    "a hidden image": ("seen_a/.x.png (hidden)", lambda folder: copy(folder, "seen_a/.x.png")),
    "a hidden folder": ("seen_a/.more (hidden)", lambda folder: copy(folder, "seen_a/.more/x.png")),
    "a loop of links": ("seen_a/again", lambda folder: (folder / "images/seen_a/again").symlink_to("..")),
    "a class without its folder": ("1 classes", lambda folder: shutil.rmtree(folder / "images/seen_c")),
    "a class that is a file": (
        "seen_c (not in a class folder",
        lambda folder: empty_class(folder).rmdir() or copy(folder, "seen_c"),
    ),
    "a class without images": ("are ignored: seen_c", lambda folder: empty_class(folder)),
    "a class of texts": ("are ignored: seen_c", lambda folder: (empty_class(folder) / "a.txt").write_text("a")),
    "equal files": (
        "are identical to a training image: images/seen_b/",
        lambda folder: [  # one of the two is held out
            shutil.copy(folder / f"images/seen_b/{name}", folder / "images/unseen_x") for name in ("0.png", "1.png")
        ],
    ),
    "equal attributes": (
        "and some are unseen: 'seen_a' and 'unseen_x'",
        lambda folder: rewrite(folder / "attributes.csv", lambda rows: rows[8].__setitem__(slice(1, 7), rows[2][1:])),
    ),
}


def empty_class(folder: Path) -> Path:
    shutil.rmtree(folder / "images/seen_c")
    (folder / "images/seen_c").mkdir()
    return folder / "images/seen_c"


def rewrite(path: Path, change: Callable[[list[list[str]]], object]) -> None:
    rows = [line.split(",") for line in path.read_text().splitlines()]
    change(rows)
    write_rows(path, [*map(list, rows)])


@pytest.mark.parametrize("kind", NAMED)
def test_ignored_files_and_doubtful_scores_are_named_in_one_warning(kind: str, unsplit: Path) -> None:
    assert open_folder(unsplit).warnings == ()
    said, change = NAMED[kind]
    change(unsplit)
    assert sum(said in warning for warning in open_folder(unsplit).warnings) == 1


REFUSED: dict[str, tuple[str, Callable[[Path], object]]] = {
    "an unseen class without images": (
        "class 'unseen_x' has no images",
        lambda folder: shutil.rmtree(folder / "images/unseen_x"),
    ),
    "a folder of an unknown class": ("images/jay has no row", lambda folder: copy(folder, "jay/x.png")),
    "a name of two lines": (
        "contains a line break or is not UTF-8",
        lambda folder: copy(folder, "seen_a/x\u2028y.png"),
    ),
    "a name that is not text": (
        "contains a line break or is not UTF-8",
        lambda folder: shutil.copy(folder / "images/seen_a/0.png", folder / "images/seen_a/\udcff.png"),
    ),
    "images that are not a folder": (
        "images/.: it cannot be listed",
        lambda folder: shutil.rmtree(folder / "images") or (folder / "images").touch(),
    ),
    "an attribute table that is a folder": (
        "is a folder",
        lambda folder: (folder / "attributes.csv").unlink() or (folder / "attributes.csv").mkdir(),
    ),
    "an attribute table that is a pipe": (
        "is a pipe",
        lambda folder: (folder / "attributes.csv").unlink() or os.mkfifo(folder / "attributes.csv"),
    ),
    "a list of classes that is a device": (
        "is a device",
        lambda folder: (folder / "unseen.txt").unlink() or (folder / "unseen.txt").symlink_to("/dev/zero"),
    ),
    "a list of folds that is a pipe": ("is a pipe", lambda folder: os.mkfifo(folder / "folds.csv")),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_change_of_the_split_is_an_error(kind: str, unsplit: Path) -> None:
    said, change = REFUSED[kind]
    change(unsplit)
    with pytest.raises(DataError) as caught:
        open_folder(unsplit)
    assert said in str(caught.value)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_match_whichever_way_their_accents_are_encoded(form: str, small_folder: Path) -> None:
    """Encode them as on the disk and in the tables after a copy from macOS."""
    before, other = open_folder(small_folder), {"NFC": "NFD", "NFD": "NFC"}[form]
    for folder in (small_folder / "images").iterdir():
        folder.rename(folder.with_name(normalize(form, f"{folder.name}_é")))
    (small_folder / "images" / normalize(form, "seen_a_é") / "0.png").rename(
        small_folder / "images" / normalize(form, "seen_a_é") / normalize(form, "ü.png")
    )
    for table in ("attributes.csv", "split.csv"):
        text = (small_folder / table).read_text().replace("seen_a/0.png", "seen_a/ü.png")
        for name in (*SEEN, *UNSEEN):
            text = text.replace(f"\n{name}", f"\n{name}_é")
        (small_folder / table).write_text(normalize(other, text), encoding="utf-8")
    after = open_folder(small_folder)
    assert after.classes == tuple(f"{name}_é" for name in before.classes)
    assert len(after.images) == len(before.images)
    assert [after.image_path(index).exists() for index in range(len(after.images))] == [True] * len(after.images)
    assert len(after.trainval) == len(before.trainval)


ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1", "cp1252", "utf-32")


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("name", ["attributes.csv", "split.csv", "folds.csv"])
def test_a_table_in_utf_8_or_in_utf_16_with_its_mark_is_read_and_any_other_encoding_refused(
    name: str, end: str, encoding: str, small_folder: Path
) -> None:
    rows = [["class", "fold"], *([name, number // 2 + 1] for number, name in enumerate(SEEN))]
    write_rows(small_folder / "folds.csv", rows)
    before = open_folder(small_folder)
    text = (small_folder / name).read_text().replace("\n", end)
    if encoding not in ENCODINGS[:3]:
        text = text.replace("seen_a", "seen_ä")
    (small_folder / name).write_bytes(text.encode(encoding))
    if encoding in ENCODINGS[:3]:
        after = open_folder(small_folder)
        assert np.array_equal(after.class_attributes, before.class_attributes)
        assert np.array_equal(after.trainval, before.trainval)
        assert after.folds == before.folds
    else:
        with pytest.raises(DataError, match=name):
            open_folder(small_folder)


NO_NUMBERS = (
    *(
        "1_0",
        "١",
        "１",
        "½",
        "0x1",
        "1e",
        "e1",
        "1e1.5",
        "--1",
        "+-1",
        "1,5",
        "1 0",
        "1\u00a00",
        "$1",
        "50%",
        "True",
        "∞",
    ),
    *("nan", "NaN", "inf", "-Infinity", "1e999", "-1e999", "1" * 400, "", "-", ".", "1.0.0", "1f", "0b1", "1j", "None"),
)


@pytest.mark.parametrize("cell", NO_NUMBERS)
def test_a_cell_that_no_spreadsheet_reads_as_a_number_is_refused(cell: str, small_folder: Path) -> None:
    rewrite(small_folder / "attributes.csv", lambda rows: rows[2].__setitem__(1, f'"{cell}"'))
    text = (small_folder / "attributes.csv").read_text(encoding="utf-8").replace('"""', '"')
    (small_folder / "attributes.csv").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match="not a (finite )?number"):
        open_folder(small_folder)


@pytest.mark.parametrize(
    ("cell", "value"), [("1", 1), ("+2.5", 2.5), ("-3.", -3), (".5", 0.5), ("1E+05", 1e5), (" 7e-2 ", 0.07), ("007", 7)]
)
def test_the_number_formats_of_spreadsheets_are_read(cell: str, value: float, small_folder: Path) -> None:
    rewrite(small_folder / "attributes.csv", lambda rows: rows[2].__setitem__(1, cell))
    assert open_folder(small_folder).class_attributes[0, 0] == value
