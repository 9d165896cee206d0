"""Stream a data set's images as the network's inputs, decoded or from packed pixels."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

from torch import Tensor

from svipctl.datasets.benchmark import Benchmark, Indices
from svipctl.datasets.images import Geometry, Transform
from svipctl.datasets.loader import ImageLoader, in_batches
from svipctl.datasets.packed_pixels import find_pack
from svipctl.datasets.workers import worker_count
from svipctl.inference.ready_network import BATCH_SIZE
from svipctl.inference.trained_model import TrainedModel
from svipctl.types import Workers


def dataset_inputs(
    model: TrainedModel,
    benchmark: Benchmark,
    indices: Indices,
    *,
    geometry: Geometry | None = None,
    mirrored: bool = False,
    batch_size: int = BATCH_SIZE,
    workers: Workers = 0,
    processes: int = 1,
) -> Generator[tuple[Tensor, Tensor], None, None]:
    """Yield batches of images in order, from packed pixels if they are up to date.

    Close the generator (`contextlib.closing`) if the loop may end early, so that the workers end.

    Args:
        model: Model whose normalization and device are used.
        benchmark: Data set of the images.
        indices: Indices of the images.
        geometry: Geometry of the pixels; the model's own if None.
        mirrored: Flip all images horizontally.
        batch_size: Images per batch; the last may be smaller.
        workers: Processes that decode; 0 decodes in this one.
        processes: Processes of the run that share the processors.

    Yields:
        Indices (B,) and normalized images (B, 3, size, size) on the model's device.

    Raises:
        DataError: An image is missing or does not decode.

    """
    geometry = geometry or model.geometry
    assert geometry.resize != "none", "random crops have no fixed pixels"
    packed, _ = find_pack(benchmark, geometry)
    images = ImageLoader(benchmark, Transform(geometry.size, geometry.resize), packed=packed)
    order = in_batches(indices, batch_size)
    workers = worker_count(workers, model.device, processes) if len(order) > 1 else 0
    with closing(images.batches(order, workers=workers, pin_memory=model.device.type == "cuda")) as batches:
        for batch in batches:
            yield batch.indices, model.inputs(batch.images.flip(3) if mirrored else batch.images)
