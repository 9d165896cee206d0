"""Test `svipctl predict`: its output in every form, and its errors for bad input."""

from __future__ import annotations

import csv
import functools
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.test_bad_input import assert_refused
from tests.cli.test_schemas import follows
from tests.conftest import ATTRIBUTES, SEEN, UNSEEN, Command, write_rows
from tests.processes import files_under, fresh
from tests.runs.made import rewrite_configuration

pytestmark = pytest.mark.slow

HEADER = ["class", *ATTRIBUTES]
CPU = ("--gpu", "cpu")
POSTSCRIPT = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(run) print flush nonsense\n"


@pytest.fixture
def pictures(trained_copy: Path, shared_folder: Path) -> list[str]:
    """Return three images; the run is in the folder of runs."""
    return [str(shared_folder / "images" / name / "0.png") for name in (SEEN[0], UNSEEN[0], UNSEEN[1])]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Return a table of two classes that no model was trained on."""
    path = tmp_path / "mine.csv"
    write_rows(path, [HEADER, ["red_blue", 1, 0, 0, 0, 0, 1], ["green_red", 0, 1, 0, 1, 0, 0]])
    return path


@pytest.mark.fast
def test_damaged_exif_is_decoded_and_libraries_do_not_write_on_stderr(
    command: Command, pictures: list[str], tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    photograph = tmp_path / "photograph.jpg"
    Image.open(pictures[0]).convert("RGB").save(photograph, exif=exif)
    content = bytearray(photograph.read_bytes())
    entries = content.index(b"Exif\0\0") + len(b"Exif\0\0") + 8
    content[entries : entries + 2] = (9).to_bytes(2, "big")  # more entries than there are
    photograph.write_bytes(content)
    with pytest.warns(UserWarning, match="Corrupt EXIF"):
        Image.open(photograph).getexif()
    done = command("predict", str(photograph), *CPU)
    assert done.code == 0, done.stderr
    assert "Warning" not in done.stderr


@pytest.mark.fast
def test_json_is_one_documented_document(
    command: Command, pictures: list[str], tmp_path: Path, shared_folder: Path
) -> None:
    before = files_under(tmp_path)
    done = command("predict", *pictures, "--json", "--top", "2", *CPU)
    assert done.code == 0, done.stderr
    document = done.document
    assert follows("predict", document)
    assert set(document) == {
        *("run", "dataset", "gamma", "gamma_origin", "classes", "attributes", "images", "named", "failed")
    }
    assert document["attributes"] == list(ATTRIBUTES)
    assert (document["dataset"], document["classes"]) == ("small", len(SEEN) + len(UNSEEN))
    assert (document["named"], document["failed"]) == (3, 0)
    assert [one["image"] for one in document["images"]] == pictures
    for one in document["images"]:
        assert set(one) == {"image", "answers", "attributes", "windows"}
        assert len(one["attributes"]) == len(ATTRIBUTES)
        assert [set(answer) for answer in one["answers"]] == [{"class", "score", "for", "against", "lacking"}] * 2
        assert {answer["class"] for answer in one["answers"]} <= {*SEEN, *UNSEEN}
        assert one["answers"][0]["score"] >= one["answers"][1]["score"]
        rows, columns = one["windows"]["grid"]
        assert all(0 <= row < rows and 0 <= column < columns for row, column in one["windows"]["kept"])
    assert "warning: gamma is 0: not calibrated on validation images" in done.stderr
    assert {name for name in files_under(tmp_path) if not name.startswith(".streams")} == set(before)


def test_csv_and_table_have_the_same_content_as_json(command: Command, pictures: list[str]) -> None:
    flags = (*pictures, "--top", "2", "--quiet", *CPU)
    document = command("predict", *flags, "--json").document
    rows = list(csv.DictReader(command("predict", *flags, "--csv").stdout.splitlines()))
    answers = [answer for one in document["images"] for answer in one["answers"]]
    assert list(rows[0]) == ["image", "rank", "class", "score", "for", "against", "patches"]
    assert [row["image"] for row in rows] == [picture for picture in pictures for _ in range(2)]
    assert [row["rank"] for row in rows] == ["1", "2"] * 3
    assert [row["class"] for row in rows] == [answer["class"] for answer in answers]
    assert [float(row["score"]) for row in rows] == pytest.approx([a["score"] for a in answers], abs=1e-6)
    for row, answer in zip(rows, answers):
        said = [part.rsplit(" ", 1)[0] for part in row["for"].split("; ") if part]
        assert said == [f"no {name}" if name in answer["lacking"] else name for name in answer["for"]]
    kept = [" ".join(f"{row}:{column}" for row, column in one["windows"]["kept"]) for one in document["images"]]
    assert [row["patches"] for row in rows[::2]] == kept
    lines = command("predict", *flags[:-3], *CPU).stdout.splitlines()
    assert [line.split("  ")[0] for line in lines] == pictures, "a line per image"
    assert [line.split("  ")[1].split()[0] for line in lines] == [answer["class"] for answer in answers[::2]]
    text = command("predict", *flags[:-3], "--reasons", *CPU).stdout
    assert all(part in text for part in (*pictures, *(f"{answer['score']:.3f}" for answer in answers)))
    assert all(f"{name} {weight:+.2f}" in text for answer in answers for name, weight in answer["for"].items())


def test_a_table_replaces_the_classes_and_extend_adds_to_them(
    command: Command, pictures: list[str], table: Path
) -> None:
    alone = command("predict", pictures[0], "--classes", str(table), "--json", *CPU).document
    assert {answer["class"] for answer in alone["images"][0]["answers"]} == {"red_blue", "green_red"}
    both = command("predict", pictures[0], "--classes", str(table), "--extend", "--top", "99", "--json", *CPU).document
    assert [len(alone["images"][0]["answers"]), len(both["images"][0]["answers"])] == [2, 10]
    scores = [{a["class"]: a["score"] for a in one["images"][0]["answers"]} for one in (alone, both)]
    assert scores[0]["red_blue"] == pytest.approx(scores[1]["red_blue"], abs=1e-6)


def test_gamma_is_subtracted_from_seen_classes_only(command: Command, pictures: list[str]) -> None:
    def scores(*flags: str) -> dict[str, float]:
        (one,) = command("predict", pictures[0], "--json", "--top", "99", *flags, *CPU).document["images"]
        return {answer["class"]: answer["score"] for answer in one["answers"]}

    plain, shifted = scores(), scores("--gamma", "0.5")
    assert {name: round(plain[name] - shifted[name], 6) for name in plain} == {
        name: 0.5 if name in SEEN else 0.0 for name in plain
    }


def read_from(path: Path) -> None:
    """Set the standard input of the process."""
    sys.stdin = path.open()


def test_a_list_on_stdin_folders_and_patterns_give_the_same(
    command: Command, pictures: list[str], shared_folder: Path, tmp_path: Path
) -> None:
    folder = shared_folder / "images" / UNSEEN[0]
    files = [str(path) for path in sorted(folder.glob("*.png"))]
    (tmp_path / "list.txt").write_text("\n".join(files) + "\n")
    listed = command("predict", "-", "--json", *CPU, first=functools.partial(read_from, tmp_path / "list.txt"))
    within = command("predict", str(folder), "--json", *CPU)
    assert [one["image"] for one in listed.document["images"]] == files
    assert within.document["images"] == listed.document["images"]
    matched = command("predict", f"{folder}/[0-1].png", "--json", *CPU)
    assert sorted(one["image"] for one in matched.document["images"]) == files[:2]


def test_an_empty_list_on_stdin_is_an_error(command: Command, pictures: list[str], tmp_path: Path) -> None:
    (tmp_path / "list.txt").touch()
    done = command("predict", "-", "--json", *CPU, first=functools.partial(read_from, tmp_path / "list.txt"))
    assert (done.code, done.document["error"]["what"]) == (3, "no image was given")


def test_a_name_in_a_list_need_not_be_utf_8(command: Command, pictures: list[str], tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/caf\xe9.png"
    shutil.copy(pictures[0], name)
    (tmp_path / "list.txt").write_bytes(name + b"\n" + os.fsencode(pictures[0]) + b"\n")
    done = command("predict", "-", "--json", *CPU, first=functools.partial(read_from, tmp_path / "list.txt"))
    assert done.code == 0, done.stderr
    one, other = done.document["images"]
    assert os.fsencode(one["image"]) == name
    assert one["answers"] == other["answers"]


def bad_images(folder: Path) -> dict[str, Callable[[Path], None]]:
    """Return every kind of unusable image file, and how to write it."""

    def bomb(path: Path) -> None:
        Image.new("1", (20_000, 20_000)).save(path)

    def cut(path: Path) -> None:
        Image.effect_noise((64, 64), 50).save(path)
        path.write_bytes(path.read_bytes()[:-400])

    def float_pixels(path: Path) -> None:
        Image.new("F", (8, 8), 0.5).save(path)

    return {
        "bomb.png": bomb,
        "text.jpg": lambda path: path.write_text("this is no picture") and None,
        "empty.png": lambda path: path.touch(),
        "cut.png": cut,
        "float.tiff": float_pixels,
        "postscript.jpg": lambda path: path.write_text(POSTSCRIPT) and None,
    }


@pytest.mark.parametrize("name", ["bomb.png", "text.jpg", "empty.png", "cut.png", "float.tiff", "postscript.jpg"])
def test_a_bad_image_is_reported_and_skipped(name: str, command: Command, pictures: list[str], tmp_path: Path) -> None:
    bad = tmp_path / name
    bad_images(tmp_path)[name](bad)
    done = command("predict", pictures[0], str(bad), pictures[1], "--json", *CPU)
    assert done.code == 1
    images = done.document["images"]
    assert [one["image"] for one in images] == [pictures[0], str(bad), pictures[1]]
    assert [("answers" in one, "error" in one) for one in images] == [(True, False), (False, True), (True, False)]
    assert done.document["error"]["what"] == "1 of 3 images could not be read"
    assert f"warning: image {bad} does not decode" in done.stderr
    assert "Traceback" not in done.stderr


def test_strict_stops_at_the_first_bad_image(command: Command, pictures: list[str], tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    done = command("predict", str(tmp_path / "text.jpg"), *pictures, "--strict", "--gamma", "0", *CPU)
    assert_refused(done, 3, "text.jpg does not decode")
    as_json = command("predict", pictures[0], str(tmp_path / "text.jpg"), pictures[1], "--strict", "--json", *CPU)
    assert as_json.code == 3
    assert [len(as_json.document["images"]), set(as_json.document)] == [
        1, {"run", "dataset", "gamma", "gamma_origin", "classes", "attributes", "images", "error"},
    ]  # fmt: skip


def test_images_in_every_format_are_classified_like_the_plain_one(
    command: Command, pictures: list[str], tmp_path: Path
) -> None:
    plain = Image.open(pictures[0]).convert("RGB")
    grey = plain.convert("L")
    turned = Image.Exif()
    turned[0x0112] = 6  # rotated a quarter to the right for display
    makers: dict[str, Callable[[Path], None]] = {
        "rotated.png": lambda path: plain.transpose(Image.Transpose.ROTATE_90).save(path, exif=turned),
        "quantised.png": lambda path: plain.quantize(256).convert("RGB").save(path),
        "palette.png": lambda path: plain.quantize(256).save(path),
        "cmyk.tiff": lambda path: plain.convert("CMYK").save(path),
        "alpha.png": lambda path: plain.convert("RGBA").save(path),
        "animated.gif": lambda path: plain.quantize(256).save(
            path, save_all=True, append_images=[Image.new("P", plain.size)]
        ),
        "grey.png": lambda path: grey.save(path),
        "sixteen.png": lambda path: Image.fromarray(np.asarray(grey).astype(np.uint16) * 257).save(path),
    }
    for name, make in makers.items():
        make(tmp_path / name)
    names = [str(tmp_path / name) for name in makers]
    done = command("predict", pictures[0], *names, "--json", "--top", "8", *CPU)
    assert done.code == 0, done.stderr
    found = {
        Path(one["image"]).name: {answer["class"]: answer["score"] for answer in one["answers"]}
        for one in done.document["images"]
    }
    first = found["0.png"]
    for name in ("rotated.png", "alpha.png", "cmyk.tiff"):
        assert found[name] == pytest.approx(first, abs=1e-6), name
    assert found["sixteen.png"] == pytest.approx(found["grey.png"], abs=1e-6)
    assert found["palette.png"] == pytest.approx(found["quantised.png"], abs=1e-6)
    assert found["animated.gif"] == pytest.approx(found["quantised.png"], abs=1e-6)


def test_without_a_readable_image_no_image_is_reported_as_classified(
    command: Command, trained_copy: Path, tmp_path: Path
) -> None:
    done = command("predict", "a" * 300, str(tmp_path / "runs"), "--csv", "--gamma", "0", *CPU)
    assert done.code == 1
    assert "2 of 2 images could not be read" in done.stderr
    assert "there is no image in the folder" in done.stderr
    assert not any(part in done.stderr for part in ("the others", "unexpected", "Traceback"))


@pytest.mark.parametrize("size", [(1, 1), (1, 60_000)])
def test_an_image_of_one_pixel_or_one_line_is_classified(
    size: tuple[int, int], command: Command, trained_copy: Path, tmp_path: Path
) -> None:
    Image.new("RGB", size, (250, 10, 10)).save(tmp_path / "dot.png")
    done = command("predict", str(tmp_path / "dot.png"), "--json", *CPU)
    assert (done.code, done.document["named"]) == (0, 1)


@pytest.mark.parametrize(
    ("rows", "part"),
    [
        ([[*HEADER[:-1], "has_wing_color::bleu"], ["x", 1, 0, 0, 0, 0, 1]], "did you mean 'has_wing_color::blue'"),
        ([HEADER, ["x", 1, 0, "nan", 0, 0, 1]], "nan is not a finite number"),
        ([HEADER, ["x", 0, 0, 0, 0, 0, 0]], "class 'x' has only zero attributes"),
        ([HEADER, ["x", 1, 0, 0, 0, 0, 0], ["x", 0, 1, 0, 0, 0, 0]], "class 'x' appears twice"),
        ([HEADER, ["x", 7, 0, 0, 0, 0, 0]], "7 is outside the range of the run's class attributes, 0 to 1"),
    ],
)
def test_an_unusable_class_table_is_refused_before_any_answer(
    rows: list[list[object]], part: str, command: Command, pictures: list[str], tmp_path: Path
) -> None:
    write_rows(tmp_path / "mine.csv", rows)
    done = command("predict", *pictures, "--classes", str(tmp_path / "mine.csv"), *CPU)
    assert_refused(done, 3, "mine.csv cannot be used", part)


def test_classes_with_equal_attributes_are_named(command: Command, pictures: list[str], tmp_path: Path) -> None:
    rows = [[name, 1, 0, 0, 0, 0, 1] for name in "xyabcdefghij"]
    write_rows(tmp_path / "mine.csv", [HEADER, *rows])
    done = command("predict", pictures[0], "--classes", str(tmp_path / "mine.csv"), *CPU)
    assert done.code == 0
    assert "classes 'x' and 'y', 'x' and 'a', " in done.stderr
    assert "'x' and 'g' and 3 more have the same attributes" in done.stderr


def test_extending_with_a_name_of_the_run_is_refused(command: Command, pictures: list[str], tmp_path: Path) -> None:
    write_rows(tmp_path / "mine.csv", [HEADER, [SEEN[0], 1, 0, 0, 0, 0, 1]])
    flags = ("--classes", str(tmp_path / "mine.csv"), "--extend")
    assert_refused(command("predict", pictures[0], *flags, *CPU), 3, SEEN[0], "--extend")


@pytest.mark.parametrize(
    ("flags", "part"),
    [
        (("--json", "--csv"), "--json and --csv"),
        (("--extend",), "needs --classes"),
    ],
)
def test_incompatible_flags_are_refused(flags: tuple[str, ...], part: str, tmp_path: Path) -> None:
    done = fresh("predict", "x.png", *flags, cwd=tmp_path)
    assert done.code == 2
    assert part in done.stderr


def test_without_a_run_the_error_says_how_to_train_one(tmp_path: Path) -> None:
    assert_refused(fresh("predict", "x.png", cwd=tmp_path), 3, "no finished run", "svipctl train")


def test_a_data_set_in_place_of_an_image_is_refused_with_the_right_command(
    command: Command, pictures: list[str], shared_folder: Path
) -> None:
    done = command("predict", str(shared_folder), pictures[0])
    assert_refused(done, 2, "is a data set", f"svipctl predict {pictures[0]} --run small/first")


def test_a_class_table_suffices_when_the_data_set_is_missing(
    command: Command, trained_copy: Path, pictures: list[str], table: Path, tmp_path: Path
) -> None:
    picture = tmp_path / "kept.png"
    picture.write_bytes(Path(pictures[0]).read_bytes())
    config = (trained_copy / "config.toml").read_text().splitlines(keepends=True)
    rewrite_configuration(
        trained_copy, "".join('dataset = "gone"\n' if line.startswith("dataset = ") else line for line in config)
    )
    done = command("predict", str(picture), "--classes", str(table), "--run", "first", "--json", *CPU)
    assert done.code == 0, done.stderr
    table.write_text(table.read_text().replace(",1", ",150", 1))
    done = command("predict", str(picture), "--classes", str(table), "--run", "first", *CPU)
    assert_refused(done, 3, "150 is outside the range of the run's class attributes")
    assert_refused(command("predict", str(picture), "--run", "first", *CPU), 2, "gone")


def test_runs_of_the_same_name_are_distinguished_by_their_data_set(
    command: Command, pictures: list[str], trained_copy: Path, tmp_path: Path
) -> None:
    shutil.copytree(trained_copy, tmp_path / "runs" / "other" / "first")
    done = command("predict", pictures[0], "--run", "first", *CPU)
    assert_refused(done, 2, "several data sets have a run 'first'", "--run other/first")
    chosen = command("predict", pictures[0], "--run", "small/first", "--json", *CPU)
    assert json.loads(chosen.stdout)["run"] == "runs/small/first"
