"""Test that images in every accepted form give the same pixels, or a DataError each."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from svipctl.datasets.images import Transform
from svipctl.errors import DataError
from svipctl.inference.image_sources import as_sources, read_batches

SIZE = 32
TRANSFORM = Transform(SIZE)


def pixels_of(seed: int, height: int = 40, width: int = 60) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def arrays() -> np.ndarray:
    """Return three images, (3, 40, 60, 3)."""
    return np.stack([pixels_of(seed) for seed in range(3)])


@pytest.fixture
def folder(arrays: np.ndarray, tmp_path: Path) -> Path:
    """Return a folder of the arrays as images, the last in a subfolder."""
    (tmp_path / "more").mkdir()
    for name, array in zip(("a.png", "b.png", "more/c.png"), arrays):
        Image.fromarray(array).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def read(images: Any, batch_size: int = 2) -> list[torch.Tensor]:
    """Return the pixels of all images, each of which decodes."""
    found = []
    for batch in read_batches(as_sources(images), TRANSFORM, batch_size):
        assert 0 < len(batch) <= batch_size
        for _, pixels in batch:
            assert isinstance(pixels, torch.Tensor), pixels
            found.append(pixels)
    return found


def refusal(image: Any) -> DataError:
    ((pair,),) = read_batches(as_sources(image), TRANSFORM, 4)
    assert isinstance(pair[1], DataError)
    return pair[1]


def channels_first(arrays: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(arrays.transpose(0, 3, 1, 2).copy())


FORMS: dict[str, Any] = {
    "a folder": lambda folder, arrays: folder,
    "a folder's name": lambda folder, arrays: str(folder),
    "a pattern": lambda folder, arrays: f"{folder}/**/*.png",
    "paths": lambda folder, arrays: [folder / "a.png", str(folder / "b.png"), folder / "more" / "c.png"],
    "a folder among paths": lambda folder, arrays: [folder / "a.png", folder / "b.png", folder / "more"],
    "a generator": lambda folder, arrays: (path for path in sorted(folder.rglob("*.png"))),
    "PIL images": lambda folder, arrays: [Image.fromarray(array) for array in arrays],
    "opened files": lambda folder, arrays: [Image.open(path) for path in sorted(folder.rglob("*.png"))],
    "arrays": lambda folder, arrays: list(arrays),
    "one array of many": lambda folder, arrays: arrays,
    "arrays that are not contiguous": lambda folder, arrays: [np.asfortranarray(array) for array in arrays],
    "tensors": lambda folder, arrays: list(channels_first(arrays)),
    "one tensor of many": lambda folder, arrays: channels_first(arrays),
    "floats": lambda folder, arrays: channels_first(arrays).float() / 255,
    "double precision": lambda folder, arrays: channels_first(arrays).double() / 255,
    "floats with gradients": lambda folder, arrays: (channels_first(arrays).float() / 255).requires_grad_(),
    "nested": lambda folder, arrays: [[folder / "a.png", [arrays[1]]], channels_first(arrays[2:])],
}


@pytest.mark.parametrize("batch_size", [1, 2, 5])
@pytest.mark.parametrize("form", FORMS)
def test_the_same_images_in_every_form_give_the_same_pixels_in_order(
    form: str, batch_size: int, folder: Path, arrays: np.ndarray
) -> None:
    found = read(FORMS[form](folder, arrays), batch_size)
    expected = [TRANSFORM(Image.fromarray(array)) for array in arrays]
    assert len(found) == len(expected)
    assert all(one.dtype == torch.uint8 and torch.equal(one, other) for one, other in zip(found, expected))


@pytest.mark.parametrize("form", ["a path", "a name", "a PIL image", "an array", "a tensor"])
def test_a_single_image_needs_no_list(form: str, folder: Path, arrays: np.ndarray) -> None:
    given = {
        "a path": folder / "a.png",
        "a name": str(folder / "a.png"),
        "a PIL image": Image.fromarray(arrays[0]),
        "an array": arrays[0],
        "a tensor": channels_first(arrays)[0],
    }[form]
    (found,) = read(given)
    assert torch.equal(found, TRANSFORM(Image.fromarray(arrays[0])))


def test_other_files_in_a_folder_are_named_in_one_warning(folder: Path) -> None:
    (folder / "more" / "table.csv").write_text("no picture")
    with pytest.warns(UserWarning, match="2 files or folders are ignored: .*") as warned:
        assert len(list(as_sources(folder))) == 3
    assert len(warned) == 1
    assert all(name in str(warned[0].message) for name in ("notes.txt", "table.csv"))


def test_no_images_give_no_batches() -> None:
    assert read([]) == read(np.zeros((0, 4, 4, 3), dtype=np.uint8)) == []


def test_half_precision_floats_are_rounded_to_the_nearest_brightness(arrays: np.ndarray) -> None:
    (found,) = read((channels_first(arrays)[0].float() / 255).bfloat16())
    expected = TRANSFORM(Image.fromarray(arrays[0]))
    assert (found.int() - expected.int()).abs().max() <= 1


def one_array(arrays: np.ndarray, folder: Path) -> Iterator[np.ndarray]:
    frame = np.empty_like(arrays[0])
    for array in arrays:
        frame[:] = array
        yield frame


def one_tensor(arrays: np.ndarray, folder: Path) -> Iterator[torch.Tensor]:
    yield from map(torch.from_numpy, (array.transpose(2, 0, 1) for array in one_array(arrays, folder)))


def frames(arrays: np.ndarray, folder: Path) -> Iterator[Image.Image]:
    first, *others = (Image.fromarray(array) for array in arrays)
    first.save(folder / "all.tiff", save_all=True, append_images=others)
    return iter(ImageSequence.Iterator(Image.open(folder / "all.tiff")))


def closed_files(arrays: np.ndarray, folder: Path) -> Iterator[Image.Image]:
    for path in sorted(folder.rglob("*.png")):
        with Image.open(path) as image:
            yield image


@pytest.mark.parametrize("reusing", [one_array, one_tensor, frames, closed_files])
def test_an_iterable_may_reuse_or_close_an_image_after_it_is_taken(
    reusing: Callable[[np.ndarray, Path], Iterator[Any]], arrays: np.ndarray, folder: Path
) -> None:
    assert [one.tolist() for one in read(reusing(arrays, folder))] == [one.tolist() for one in read(arrays)]


def test_an_opened_file_may_be_passed_several_times(tmp_path: Path) -> None:
    Image.fromarray(pixels_of(0, 900, 900)).save(tmp_path / "a.png")
    found = read([Image.open(tmp_path / "a.png")] * 8, batch_size=8)
    assert all(torch.equal(one, read(tmp_path / "a.png")[0]) for one in found)


def test_each_image_is_returned_as_it_was_passed(folder: Path, arrays: np.ndarray) -> None:
    image = Image.fromarray(arrays[1])
    given: list[Any] = [str(folder / "a.png"), folder / "b.png", image, arrays[2]]
    ((one, two, three, four),) = (
        [source for source, _ in batch] for batch in read_batches(as_sources(given), TRANSFORM, 9)
    )
    assert (one, two) == (folder / "a.png", folder / "b.png")
    assert three is image
    assert four is arrays[2] or np.shares_memory(four, arrays)


def turned(array: np.ndarray) -> tuple[Image.Image, Image.Exif]:
    """Return an image stored a quarter to the right, and the EXIF data that record this."""
    exif = Image.Exif()
    exif[0x0112] = 8
    return Image.fromarray(array).transpose(Image.Transpose.ROTATE_270), exif


@pytest.mark.parametrize("opened", [True, False])
def test_photographs_are_turned_upright_unless_requested_as_stored(opened: bool, tmp_path: Path) -> None:
    upright = pixels_of(9, 30, 50)
    stored, exif = turned(upright)
    path = tmp_path / "turned.png"
    stored.save(path, exif=exif)
    source = Image.open(path) if opened else path
    assert torch.equal(read(source)[0], TRANSFORM(Image.fromarray(upright)))
    (((_, as_stored),),) = read_batches([source], TRANSFORM, 1, upright=False)
    assert torch.equal(as_stored, TRANSFORM(stored))


def test_a_grey_or_transparent_image_is_read_as_rgb(arrays: np.ndarray) -> None:
    for mode in ("L", "RGBA", "P"):
        image = Image.fromarray(arrays[0]).convert(mode)
        assert torch.equal(read(image)[0], TRANSFORM(image.convert("RGB")))


def test_an_undecodable_image_is_reported_in_its_place(folder: Path, arrays: np.ndarray) -> None:
    (folder / "text.jpg").write_text("no picture")
    cut = io.BytesIO((folder / "a.png").read_bytes()[:2000])
    given = [folder / "gone.png", arrays[0], folder / "text.jpg", Image.open(cut), folder / "b.png", folder / "a.tiff"]
    pairs = [pair for batch in read_batches(as_sources(given), TRANSFORM, 2) for pair in batch]
    assert [isinstance(pixels, DataError) for _, pixels in pairs] == [True, False, True, True, False, True]
    errors = [str(pixels) for _, pixels in pairs if isinstance(pixels, DataError)]
    assert "image not found" in errors[0]
    assert "gone.png" in errors[0]
    assert "text.jpg does not decode" in errors[1]
    assert "given as a PIL image does not decode" in errors[2]


def test_a_folder_without_images_is_reported(tmp_path: Path) -> None:
    assert "there is no image in the folder" in str(refusal(tmp_path))


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), dtype=np.uint8),
        np.zeros((4, 4, 1), dtype=np.uint8),
        np.zeros((3, 4, 4), dtype=np.uint8),
        np.zeros((4, 4, 3)),
        np.zeros((4, 4, 3), dtype=np.int64),
        np.zeros((0, 4, 3), dtype=np.uint8),
        np.zeros((1, 1, 4, 4, 3), dtype=np.uint8),
        np.array(["a.png", "b.png"]),
        torch.zeros(4, 4),
        torch.zeros(4, 4, 3),
        torch.zeros(1, 4, 4),
        torch.zeros(3, 4, 4, dtype=torch.int64),
        torch.zeros(3, 4, 0),
        torch.zeros((), dtype=torch.uint8),
        torch.zeros(4, 4, dtype=torch.bfloat16),
        torch.full((3, 4, 4), torch.nan),
        torch.zeros(3, 4, 4).to_sparse(),
        torch.zeros(3, 4, 4, device="meta"),
        torch.full((3, 4, 4), -0.1),  # normalised
        torch.full((3, 4, 4), 128.0, dtype=torch.bfloat16),
    ],
    ids=lambda image: f"{type(image).__name__}-{tuple(image.shape)}-{image.dtype}",
)
def test_an_array_that_is_not_an_image_is_refused_with_its_shape_and_type(image: Any) -> None:
    error = refusal(image)
    assert "is not an image" in error.what
    assert "uint8 (H, W, 3)" in error.why


def test_images_are_read_during_the_computation_of_earlier_ones_and_never_all_at_once() -> None:
    taken = 0

    def endless() -> Iterator[np.ndarray]:
        nonlocal taken
        while True:
            taken += 1
            yield np.zeros((4, 4, 3), dtype=np.uint8)

    batches = read_batches(as_sources(endless()), TRANSFORM, 3)
    for number in range(1, 5):
        assert len(next(batches)) == 3
        assert taken <= 3 * (number + 1)
    batches.close()  # type: ignore[attr-defined]


def test_an_error_in_the_iterable_of_images_reaches_the_caller() -> None:
    def broken() -> Iterator[np.ndarray]:
        yield np.zeros((4, 4, 3), dtype=np.uint8)
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        read(broken())
