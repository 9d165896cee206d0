"""Declare every setting of svipctl: type, default and meaning.

The documentation, `config show`, completion and the error messages are made from these classes.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from svipctl.model.recipe import Recipe
from svipctl.types import MOST_RESAMPLES, Precision

RecipeName = Literal["svipctl", "hybrid", "reference", "paper"]
TrackerName = Literal["tensorboard", "wandb", "trackio", "mlflow"]


def _at_home(path: Any) -> Any:
    """Return a path with its `~` expanded: values in a file or in the environment have not passed a shell."""
    return os.path.expanduser(path) if isinstance(path, (str, Path)) else path  # noqa: PTH111 (Path's raises for a stranger)


def _ascending(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError("the smaller one comes first")
    return pair


def _named_checkpointing(value: Any) -> Any:
    """Convert the true or false of earlier runs to a name."""
    if isinstance(value, bool):
        return "blocks" if value else "none"
    return value


def _images(value: Any) -> Any:
    if isinstance(value, str) and not value.isdecimal():
        raise ValueError(
            "use a number of images; `--batch-size auto` finds the number of micro-batches that fit in memory"
        )
    return value


def _split_names(value: Any) -> Any:
    """Split names at commas, which are easier to type in a shell than a TOML list."""
    return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value


_HOME = BeforeValidator(_at_home)
Share = Annotated[float, Field(gt=0, le=1)]
Beta = Annotated[float, Field(ge=0, lt=1)]


class Section(BaseModel):
    """A table of the configuration: immutable, and an unknown key is an error."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        coerce_numbers_to_str=True,
        allow_inf_nan=False,  # JSON has neither inf nor nan
    )


class ModelSettings(Section):
    """Network around the method."""

    backbone: str = "vit_base"
    """A short name (lite, vit_base, deit_base, vit_small, vit_tiny, vit_toy) or any timm Vision Transformer."""
    backbone_args: dict[str, Any] = {}
    """Arguments of timm's constructor, for instance { img_size = 64, depth = 4 }."""
    weights: Annotated[str, _HOME] = "pretrained"
    """Backbone weights: `pretrained` (timm's for that name; the package of the extra for lite), `none` (random), or a
    .safetensors, .pth or .npz (JAX Vision Transformer) file.
    """
    init_from: Annotated[str, _HOME] = ""
    """Start from a whole trained network instead: a run or checkpoint folder of svipctl, or a checkpoint file (.pth)
    of the published code.
    """
    stem: Literal["train", "frozen"] = "train"
    """Train or freeze the convolutional stem of a hybrid; the features of a frozen stem are computed once and cached.
    """
    window: PositiveInt = 2
    """Side of a window in patches; it must divide the patch grid."""
    classifier_hidden: PositiveInt = 512
    """Hidden width of the patch classifier."""


class DataSettings(Section):
    """Data loading and transforms."""

    resize: Literal["shorter-side", "square"] = "shorter-side"
    """Resizing before the crop: shorter side to image size * 256/224 with a centre crop, or directly to a square."""
    test_resize: Literal["same", "shorter-side", "square"] = "same"
    """Resizing in evaluation, prediction and export: `same` as in training, or another (published for AwA2)."""
    augment: Literal["none", "flip", "crop-and-flip"] = "flip"
    """Random part of the training transform; crop-and-flip is a random resized crop."""
    crop_scale: Annotated[tuple[Share, Share], AfterValidator(_ascending)] = (0.08, 1.0)
    """Smallest and largest area share of the random resized crop."""
    normalise: Literal["imagenet", "half", "weights"] = "weights"
    """Mean and standard deviation: ImageNet's, 0.5, or those that the backbone's weights were trained with."""
    allow_partial: bool = False
    """Use cub, awa2 or sun with missing images; the results are then not comparable with published ones."""
    keep_features: bool = True
    """Cache the features of a frozen stem next to the images; otherwise each epoch computes them."""
    features: Annotated[str, _HOME] = ""
    """File of features (.npz, .safetensors, or .mat like res101.mat) to use instead of images."""
    workers: NonNegativeInt | Literal["auto"] = "auto"
    """Processes that decode images; 0 decodes in the main process. `auto` is 2 on a CPU; on a GPU its share of
    the processors, at most 16 and no more than fit in shared memory."""

    @property
    def evaluation_resize(self) -> Literal["shorter-side", "square"]:
        """Resizing of images that are not trained on; it is saved in checkpoints."""
        return self.resize if self.test_resize == "same" else self.test_resize


class OptimSettings(Section):
    """Optimizer, schedule and warm-up."""

    optimizer: Literal["adam", "adamw"] = "adamw"
    """Adam, or AdamW with decoupled weight decay."""
    lr: PositiveFloat = 3e-5
    """Learning rate after warm-up."""
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    """Decay rates of the optimizer's two moments."""
    weight_decay: float = Field(0.0, ge=0)
    """Weight decay of all parameters."""
    stem_lr_share: PositiveFloat = 1.0
    """Learning rate of a hybrid's convolutional stem, as a share of the learning rate of all other parameters."""
    clip_norm: PositiveFloat = 1.0
    """Maximum of the global gradient norm over all parameters."""
    schedule: Literal["cosine", "step", "constant"] = "cosine"
    """Cosine to zero by steps, or lr * step_factor^(epoch // step_epochs), or constant."""
    step_epochs: PositiveInt = 5
    """Epochs between two steps of the schedule `step`."""
    step_factor: PositiveFloat = 0.8
    """Factor of each step of the schedule `step`."""
    ramp_epochs: float = Field(0.0, ge=0)
    """Linear rise of the learning rate at the start of the main phase, in epochs; the schedule `step` has none."""
    warmup_epochs: NonNegativeInt = 0
    """Epochs, counted in train.epochs, in which only the heads are trained."""
    warmup_lr: PositiveFloat = 5e-5
    """Learning rate during warm-up."""
    warmup_backbone: Literal["frozen", "accumulate"] = "frozen"
    """Backbone during warm-up: without gradient, or (published) its gradients accumulate and enter the clipping."""
    renew_each_epoch: bool = False
    """Reset the optimizer's moments at each epoch after warm-up, as the published code does."""


class TrainSettings(Section):
    """Training loop."""

    epochs: PositiveInt = 30
    """Training epochs, warm-up included."""
    batch_size: Annotated[PositiveInt, BeforeValidator(_images)] = 64
    """Images per optimizer step, of all processes together."""
    accumulate: PositiveInt | Literal["auto"] = 1
    """Micro-batches per step (gradient accumulation), to save memory; the result is that of the whole batch. `auto`
    (--batch-size auto) finds the smallest number that fits.
    """
    checkpointing: Annotated[Literal["none", "mlp", "blocks"], BeforeValidator(_named_checkpointing)] = "none"
    """Activations that the backward pass computes again instead of keeping them: none, those of the MLPs, or all but
    the inputs of the blocks (less memory, slower steps: benchmarks/README.md).
    """
    compile: bool = False
    """Compile the blocks with torch.compile: a slow first step, then faster steps (benchmarks/README.md)."""
    shuffle: bool = True
    """Shuffle with a seeded sampler; the published code keeps file order."""
    drop_last: bool = True
    """Drop the last incomplete batch of an epoch (kept if it is the only one)."""
    save_every: float = Field(15.0, ge=0)
    """Minutes between two saves of the training state; the first epoch, the last one and a new best are always saved.
    0 saves after every step."""
    trackers: Annotated[tuple[TrackerName, ...], BeforeValidator(_split_names)] = ()
    """Experiment trackers that also receive the metrics of steps and epochs: tensorboard, wandb, trackio, mlflow
    (each needs the extra of its name: docs/trackers.md).
    """
    tensorboard: bool = False
    """Earlier name of `trackers = ["tensorboard"]`."""
    fold: Literal[1, 2, 3] | None = None
    """Development run: hold out the classes of this fold and some images, train on the rest of trainval, and validate
    on what is held out.
    """
    monitor: Literal["validation", "test", "none"] = "validation"
    """Split that is evaluated after each epoch: `validation` needs a fold; with a fold `test` means validation too,
    so that a development run never uses the test images.
    """
    select: Literal["last", "validation", "test"] = "last"
    """Epoch that becomes checkpoints/best: the last, or the one with the best H on the monitored split (published:
    test).
    """

    @property
    def tracker_names(self) -> tuple[str, ...]:
        """Names of the trackers, each once."""
        return tuple(dict.fromkeys((*self.trackers, *(["tensorboard"] if self.tensorboard else []))))

    @model_validator(mode="after")
    def _selection_is_monitored(self) -> TrainSettings:
        if self.select != "last" and self.select != self.monitor:
            raise ValueError(f"train.select = {self.select!r} needs train.monitor = {self.select!r}")
        if self.select == "validation" and self.fold is None:
            raise ValueError("train.select = 'validation' needs a fold: --set train.fold=1")
        if self.select == "test" and self.fold is not None:
            raise ValueError("a development run (train.fold) does not select on test: --set train.select=last")
        return self


class EvalSettings(Section):
    """Evaluation."""

    batch_size: Annotated[int, Field(ge=1, le=2**20)] = 64
    """Images per batch."""
    bootstrap: Annotated[int, Field(ge=0, le=MOST_RESAMPLES)] = 1000
    """Resamples of the 95 % bootstrap intervals; 0 computes none."""
    selection: bool = True
    """Measure the patch classifier, which needs one more pass over each image."""
    compile: bool = False
    """Compile the blocks with torch.compile: a slow first batch, then faster ones."""


class Settings(Section):
    """Configuration of a run."""

    dataset: str
    """cub, awa2, sun, toybirds, or a folder of your own."""
    recipe: RecipeName = "svipctl"
    """Set of switches that a preset starts from."""
    data_dir: Annotated[Path, _HOME] = Path("data")
    """Folder of the named data sets."""
    runs_dir: Annotated[Path, _HOME] = Path("runs")
    """Folder of the runs."""
    name: str = ""
    """Run name; empty for one made from recipe, seed and a number."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Random seed, below 2^32."""
    gpu: str = "auto"
    """auto, cpu, or the index of a GPU."""
    precision: Precision = "auto"
    """Arithmetic of the network: auto is bf16 where the hardware supports it, else fp32."""
    offline: bool = False
    """Disable all network access."""
    model: ModelSettings = ModelSettings()
    method: Recipe = Recipe()
    data: DataSettings = DataSettings()
    optim: OptimSettings = OptimSettings()
    train: TrainSettings = TrainSettings()
    eval: EvalSettings = EvalSettings()
