"""Use a trained network: `TrainedModel` combines it with the metadata, device and arithmetic that it needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from svipctl.datasets.benchmark import Benchmark
from svipctl.datasets.feature_file import read_feature_file
from svipctl.datasets.features import StemFeatures
from svipctl.datasets.registry import open_benchmark
from svipctl.errors import ConfigError, DataError, whole_number
from svipctl.inference.answers import Answer, AnswerMaker, ClassifiedImage, UnreadableImage
from svipctl.inference.class_table import Classes, ClassTable, candidate_classes
from svipctl.inference.gamma import NOT_CALIBRATED, Gamma, calibrated_gamma
from svipctl.inference.image_sources import Images, as_sources, read_batches
from svipctl.inference.ready_network import BATCH_SIZE, ReadyNetwork, check_finite
from svipctl.model.backbone import mean_patch_tokens, mean_stem_features, stem_of
from svipctl.runs.run import Run
from svipctl.types import ProgressCallback


@dataclass(frozen=True)
class PredictedImages:
    """Predictions of N images, in their order."""

    attributes: NDArray[np.float64]
    """(N, K) predicted attribute vectors."""
    related: NDArray[np.bool_]
    """(N, windows) windows that are related to the object according to the model, in raster order."""


@dataclass(frozen=True, eq=False)
class TrainedModel(ReadyNetwork):
    """A network that is ready for use.

    Built by `svipctl.load` and by the functions of `svipctl.inference.load`. Training, evaluation, prediction, export,
    figures and baselines all hold one.
    """

    run: Run | None = None
    """The run of the checkpoint."""
    checkpoint: Mapping[str, str] | None = None
    """`file` and `sha256` of the checkpoint, if one was loaded rather than a run."""
    is_best: bool = False
    """True for the run's best checkpoint, to which its gamma belongs."""
    dataset: str | None = None
    """Name or folder of the data set; None for the run's."""
    data_dir: Path | None = None
    """Folder of the data sets; None for the run's."""
    features: StemFeatures | None = field(default=None, repr=False)
    """Features of a data set that a network on features of a file reads; None for those that its run names."""
    notes: tuple[str, ...] = field(default=(), repr=False)
    """Notes on the file that was loaded."""
    is_backbone_alone: bool = False
    """True for pretrained weights without a trained network around them (`svipctl.inference.load`)."""

    def __repr__(self) -> str:
        trained = f"{self.metadata.recipe} on {self.metadata.dataset}, epoch {self.metadata.epoch}"
        return f"TrainedModel({trained}, {len(self.attributes)} attributes, {self.dtype} on {self.device})"

    @property
    def gamma(self) -> Gamma:
        """The calibrated gamma of the run, and its origin; 0 without a run."""
        if self.run is None or not self.is_best:
            return Gamma(0.0, NOT_CALIBRATED)
        return calibrated_gamma(self.run, self.metadata)

    def predict(self, images: Images, *, batch_size: int = BATCH_SIZE) -> PredictedImages:
        """Predict the attributes of images.

        Args:
            images: Paths, a folder, PIL images, uint8 arrays (H, W, 3), a tensor (B, 3, H, W), or an iterable of these.
            batch_size: Images computed together.

        Raises:
            DataError: An image does not decode.
            CheckFailed: The network's output is not finite.

        """
        attributes = [np.zeros((0, len(self.attributes)))]
        related = [np.zeros((0, self.network.grid.windows), dtype=bool)]
        for batch in self._readable(images, batch_size):
            prediction = self.predict_pixels(batch)
            attributes.append(check_finite(prediction.attributes.double().cpu()).numpy())
            related.append(prediction.related.cpu().numpy())
        return PredictedImages(np.concatenate(attributes), np.concatenate(related))

    @property
    def embeds_stem(self) -> bool:
        """True if features are of a hybrid's stem, because the transformer of an untrained hybrid may be random."""
        return self.is_backbone_alone and stem_of(self.network.backbone) is not None

    @property
    def embedding(self) -> str:
        """Description of the rows of `embed`."""
        return (
            "mean over positions of the stem's feature map" if self.embeds_stem else "mean patch token of the backbone"
        )

    def embed(
        self, images: Images, *, batch_size: int = BATCH_SIZE, progress: ProgressCallback | None = None
    ) -> NDArray[np.float32]:
        """Return the features of images.

        Args:
            images: As for `predict`.
            batch_size: Images computed together.
            progress: Called with the images done as both arguments, because their total is not known.

        Returns:
            (N, D), the mean patch token of the backbone for each image; for an untrained hybrid the mean over
            the positions of its stem's feature map.

        Raises:
            DataError: An image does not decode.
            CheckFailed: The network's output is not finite.

        """
        mean = mean_stem_features if self.embeds_stem else mean_patch_tokens
        backbone = self.network.backbone
        width = backbone.patch_embed.feature_dim if self.embeds_stem else backbone.num_features
        features = [np.zeros((0, width), dtype=np.float32)]
        done = 0
        for batch in self._readable(images, batch_size):
            with self.inference():
                features.append(check_finite(mean(backbone, self.inputs(batch)).cpu(), "features").numpy())
            done += len(batch)
            if progress:
                progress(done, done)
        return np.concatenate(features)

    def classify(
        self,
        images: Images,
        classes: Classes | None = None,
        *,
        gamma: float | None = None,
        top: int = 5,
        batch_size: int = BATCH_SIZE,
    ) -> list[ClassifiedImage]:
        """Classify images among the model's classes or your own.

        Args:
            images: As for `predict`.
            classes: A class table: a CSV file (`class,<attribute>,...`), a DataFrame (one class per row), or a mapping
                from class names to attribute vectors (K,) or to mappings from attribute names to values. None for the
                classes of the data set that the model was trained on, which is opened.
            gamma: Value that is subtracted from the scores of seen classes; the run's calibrated gamma if None.
            top: Answers per image.
            batch_size: Images computed together.

        Raises:
            DataError: An image does not decode, the class table cannot be used, or the data set is missing.
            CheckFailed: The network's output is not finite.

        """
        table = candidate_classes(self.metadata, self.open_dataset, classes)
        found = []
        for one in self.classify_each(images, table, gamma=gamma, top=top, batch_size=batch_size):
            if isinstance(one, UnreadableImage):
                raise one.error
            found.append(one)
        return found

    def classify_each(
        self,
        images: Images,
        table: ClassTable,
        *,
        gamma: float | None = None,
        top: int = 5,
        batch_size: int = BATCH_SIZE,
    ) -> Iterator[ClassifiedImage | UnreadableImage]:
        """Classify images one after another, in constant memory; yield unreadable images instead of raising their
        errors.

        Args:
            images: As for `predict`.
            table: The candidate classes.
            gamma: As for `classify`.
            top: Answers per image.
            batch_size: Images computed together.

        Raises:
            CheckFailed: The network's output is not finite.

        """
        chosen = self.gamma if gamma is None else Gamma(gamma, "given")
        answer_maker = AnswerMaker(self.attributes, table, chosen.value, self.network.scorer, whole_number("top", top))
        for batch in read_batches(as_sources(images), self.transform, batch_size):
            readable = [pixels for _, pixels in batch if isinstance(pixels, Tensor)]
            classified = self._classify_pixels(torch.stack(readable), answer_maker) if readable else iter(())
            for image, pixels in batch:
                if isinstance(pixels, DataError):
                    yield UnreadableImage(image, pixels)
                else:
                    yield ClassifiedImage(image, *next(classified))

    def _classify_pixels(
        self, pixels: Tensor, answer_maker: AnswerMaker
    ) -> Iterator[tuple[tuple[Answer, ...], NDArray[np.float64], NDArray[np.bool_]]]:
        """Return the answers, the attributes (K,) and the related windows (rows, columns) of each image of a batch."""
        prediction = self.predict_pixels(pixels)
        attributes = check_finite(prediction.attributes.double().cpu())
        related = prediction.related.cpu().reshape(-1, *self.network.grid.window_shape)
        return zip(answer_maker.answers(attributes), attributes.numpy(), related.numpy())

    def own_classes(self, benchmark: Benchmark | None = None) -> ClassTable:
        """Return the classes of the data set that the model was trained on, which is opened if it is not given.

        Raises:
            DataError: The data set is missing, or has changed since.
            ConfigError: The folder of the model's data set is not known.

        """
        return candidate_classes(self.metadata, self.open_dataset if benchmark is None else lambda: benchmark)

    def open_dataset(self) -> Benchmark:
        """Open the data set that the model was trained on.

        Raises:
            DataError: The data set is missing.
            ConfigError: The model has no run that records the folder of its data set.

        """
        settings = self.run.settings() if self.run is not None else None
        dataset = self.dataset or (settings.dataset if settings else None)
        data_dir = self.data_dir or (settings.data_dir if settings else Path("data"))
        if dataset is None:
            raise ConfigError(
                f"the folder of the data set {self.metadata.dataset} is not known",
                why="the model was not loaded from a run",
                todo="pass your own classes, or load the model with dataset=...",
            )
        file = settings.data.features if settings is not None else ""
        listed = read_feature_file(Path(file)).images if file else None
        return open_benchmark(dataset, data_dir, allow_partial=True, listed=listed)

    def _readable(self, images: Images, batch_size: int) -> Iterator[Tensor]:
        """Yield uint8 batches (B, 3, size, size), raising the error of the first unreadable image."""
        for batch in read_batches(as_sources(images), self.transform, batch_size):
            for _, pixels in batch:
                if isinstance(pixels, DataError):
                    raise pixels
            yield torch.stack([pixels for _, pixels in batch if isinstance(pixels, Tensor)])
