"""Read images in any form (paths, folders, PIL images, arrays, tensors) as batches of the network's pixels."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from svipctl.datasets.image_files import Entry, described
from svipctl.datasets.images import Transform, decode
from svipctl.errors import DataError, whole_number
from svipctl.inference.find_images import find_pictures

ImageSource = Path | Image.Image | NDArray[np.uint8] | Tensor
"""One image: a file, a PIL image, a uint8 array (H, W, 3), or a tensor (3, H, W) of uint8 or of floats in 0..1."""
Images = str | ImageSource | Iterable[str | ImageSource]
"""Images in any form: one of them, a folder or a pattern of file names, a batch (B, H, W, 3) or (B, 3, H, W), or an
iterable of these."""
_READERS = 2


def as_sources(images: Images) -> Iterator[ImageSource]:
    """Yield the single images of a public function's argument, finding files on demand.

    Files of a folder that are not images are ignored, with one UserWarning that lists them.
    """
    if isinstance(images, str | Path):
        left_out: list[Entry] = []
        yield from find_pictures([str(images)], left_out.append)
        if left_out:
            warnings.warn(described(left_out), UserWarning, stacklevel=2)
    elif isinstance(images, Image.Image):
        yield images
    elif isinstance(images, np.ndarray | Tensor):
        yield from images if images.ndim == 4 else [images]
    elif isinstance(images, Iterable) and not isinstance(images, bytes | memoryview):
        for one in images:
            yield from as_sources(one)
    else:
        raise DataError(
            f"{type(images).__name__} is not an image",
            why="pass paths, a folder, PIL images, arrays, tensors, or an iterable of these",
        )


def read_batches(
    sources: Iterable[ImageSource], transform: Transform, batch_size: int, *, upright: bool = True
) -> Iterator[list[tuple[ImageSource, Tensor | DataError]]]:
    """Decode image files in the background while earlier ones are processed, in constant memory.

    Images and arrays are read before the next one is taken, because an iterable may reuse or close them.

    Args:
        sources: The images.
        transform: Function from an image of any size to uint8 (3, size, size).
        batch_size: Images yielded together, except in the last batch.
        upright: Rotate photographs by their EXIF orientation.

    Yields:
        Each image with its pixels, or with its error if it does not decode.

    """
    batch_size = whole_number("batch_size", batch_size)
    coming = iter(sources)
    waiting: deque[tuple[ImageSource, Future[Tensor | DataError]]] = deque()
    with ThreadPoolExecutor(_READERS) as pool:
        try:
            while True:
                for source in islice(coming, 2 * batch_size - len(waiting)):
                    waiting.append((source, pool.submit(_read, source, transform, upright)))
                    if not isinstance(source, Path):
                        waiting[-1][1].result()
                if not waiting:
                    return
                batch = [waiting.popleft() for _ in range(min(batch_size, len(waiting)))]
                yield [(source, pixels.result()) for source, pixels in batch]
        finally:
            pool.shutdown(cancel_futures=True)


def _read(source: ImageSource, transform: Transform, upright: bool) -> Tensor | DataError:
    try:
        image = source if isinstance(source, Path | Image.Image) else _as_pil(source)
        return transform(decode(image, upright=upright))
    except DataError as error:
        return error


def _as_pil(source: NDArray[np.uint8] | Tensor) -> Image.Image:
    """Return an array (H, W, 3) or a tensor (3, H, W) as a PIL image.

    Raises:
        DataError: The shape or type is wrong, or floats are outside 0..1, for instance normalized ones.

    """
    if isinstance(source, Tensor):
        if source.layout != torch.strided or source.is_meta or source.is_quantized:
            raise _no_image(f"a sparse, quantized or empty tensor of shape {tuple(source.shape)}")
        pixels = source.detach().cpu()
        if pixels.is_floating_point():
            levels = (pixels.float() * 255).round()
            pixels = levels.byte() if ((levels >= 0) & (levels <= 255)).all() else levels
        array = (pixels.permute(1, 2, 0) if pixels.ndim == 3 else pixels).numpy()
    else:
        array = source
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise _no_image(f"an array of shape {array.shape} and type {array.dtype}")
    return Image.fromarray(np.ascontiguousarray(array))


def _no_image(what: str) -> DataError:
    return DataError(
        f"{what} is not an image",
        why="pass arrays as uint8 (H, W, 3), tensors as (3, H, W) of uint8 or of floats in 0..1",
    )
