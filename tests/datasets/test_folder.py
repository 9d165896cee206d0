"""A data folder of one's own: what is read, and that nothing in it raises anything but our errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from svipctl.datasets.folder import open_folder
from svipctl.errors import DataError, SvipError
from tests.conftest import ATTRIBUTES, SEEN, TESTED, TRAINED, UNSEEN, write_rows, write_small_folder


def test_what_is_written_is_what_is_read(shared_folder: Path) -> None:
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
        "images/seen_a/0.png is named twice",
        "there is no picture images/seen_a/99.png",
        "'tset_seen' is not a split (did you mean 'test_seen'",
    ):
        assert part in caught.value.why
    assert "6 problems" in caught.value.what


def test_a_folder_that_lacks_everything_says_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"lacks images, attributes\.csv, split\.csv or unseen\.txt"):
        open_folder(tmp_path)


def test_masks_are_found_and_missing_ones_are_a_problem(small_folder: Path) -> None:
    (small_folder / "masks").mkdir()
    with pytest.raises(DataError, match=r"masks/seen_a/0\.png is missing"):
        open_folder(small_folder)


def test_folds_of_the_folder_are_used(small_folder: Path) -> None:
    rows = [[name, number // 2 + 1] for number, name in enumerate(SEEN)]
    write_rows(small_folder / "folds.csv", [["class", "fold"], *map(list, rows)])
    assert open_folder(small_folder).folds == ((0, 1), (2, 3), (4, 5))
    write_rows(small_folder / "folds.csv", [["class", "fold"], ["seen_z", 1], ["seen_a", 4]])
    with pytest.raises(DataError) as caught:
        open_folder(small_folder)
    assert "seen_z,1" in caught.value.why
    assert "seen_a,4" in caught.value.why


def test_folds_need_no_header_and_every_seen_class(small_folder: Path) -> None:
    rows = [[name, number // 2 + 1] for number, name in enumerate(SEEN)]
    write_rows(small_folder / "folds.csv", [*map(list, rows)])
    assert open_folder(small_folder).folds == ((0, 1), (2, 3), (4, 5))
    write_rows(small_folder / "folds.csv", [["class", "fold"], *map(list, rows[1:])])
    with pytest.raises(DataError) as caught:
        open_folder(small_folder)
    assert "seen class 'seen_a' is in no fold" in caught.value.why


def test_a_picture_that_has_no_split_is_a_problem_and_one_that_is_unused_is_none(small_folder: Path) -> None:
    lines = (small_folder / "split.csv").read_text().splitlines()
    before = len(open_folder(small_folder).trainval)
    (small_folder / "split.csv").write_text("\n".join([lines[0], *lines[2:]]))
    with pytest.raises(DataError) as caught:
        open_folder(small_folder)
    assert "1 of 56 pictures are not in it, for instance images/seen_a/0.png" in caught.value.why
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
def test_no_table_raises_anything_but_our_errors(name: str, victim: Path, content: bytes) -> None:
    path = victim / name
    before = path.read_bytes() if path.exists() else None
    path.write_bytes(content)
    try:
        benchmark = open_folder(victim)
        assert np.isfinite(benchmark.class_attributes).all()
    except SvipError:
        pass  # refused in our words; any other exception fails the test
    finally:
        if before is None:
            path.unlink()
        else:
            path.write_bytes(before)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"\x80unseen"])
def test_unseen_txt_that_is_no_text_is_our_error(content: bytes, small_folder: Path) -> None:
    (small_folder / "split.csv").unlink()
    (small_folder / "unseen.txt").write_bytes(content)
    with pytest.raises(SvipError):
        open_folder(small_folder)


def test_a_group_row_of_another_length_is_our_error(small_folder: Path) -> None:
    rows = [line.split(",") for line in (small_folder / "attributes.csv").read_text().splitlines()]
    rows[1].append("beyond")
    write_rows(small_folder / "attributes.csv", [*map(list, rows)])
    with pytest.raises(DataError):
        open_folder(small_folder)


def test_a_fold_of_an_unseen_class_is_our_error(small_folder: Path) -> None:
    write_rows(small_folder / "folds.csv", [["class", "fold"], *([name, 1] for name in (*SEEN[:3], UNSEEN[0]))])
    with pytest.raises(DataError):
        open_folder(small_folder)


def test_a_class_in_two_folds_is_our_error(small_folder: Path) -> None:
    write_rows(small_folder / "folds.csv", [["class", "fold"], ["seen_a", 1], ["seen_a", 2], ["seen_b", 3]])
    with pytest.raises(DataError):
        open_folder(small_folder)
