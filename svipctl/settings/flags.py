"""Declare the flags of settings once: setting, name, help and the values that shells complete.

It has no heavy imports, so that help and completion stay instant: importing pydantic alone takes too long.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True)
class Flag:
    """A command-line flag that gives one setting its value."""

    key: str
    """Dotted key of the setting."""
    help: str
    type: type = str
    values: tuple[str, ...] = ()
    """Values that shells complete; the setting may accept others."""
    metavar: str | None = None

    @property
    def parameter(self) -> str:
        """Name of the command's parameter: the last part of the key."""
        return self.key.rpartition(".")[2]

    @property
    def name(self) -> str:
        """The flag, with its dashes."""
        return "--" + self.parameter.replace("_", "-")

    def with_help(self, help: str) -> Flag:
        """Return the same flag with the help text of one command."""
        return replace(self, help=help)


RECIPE = Flag(
    "recipe",
    "Recipe: svipctl (corrected), hybrid (strongest), reference (as published) or paper.",
    values=("svipctl", "hybrid", "reference", "paper"),
)
NAME = Flag("name", "Run name.")
BACKBONE = Flag(
    "model.backbone",
    "Backbone: lite, vit_base, deit_base, vit_small, vit_tiny, vit_toy, or a timm name.",
    values=("lite", "vit_base", "deit_base", "vit_small", "vit_tiny", "vit_toy"),
)
WEIGHTS = Flag("model.weights", "Backbone weights: pretrained, none, or a file.", values=("pretrained", "none"))
INIT_FROM = Flag("model.init_from", "Trained network to start from: a run or checkpoint folder, or a published .pth.")
EPOCHS = Flag("train.epochs", "Training epochs, warm-up included.", int)
BATCH_SIZE = Flag("train.batch_size", "Images per step.", int)
BATCH_SIZE_OR_AUTO = replace(
    BATCH_SIZE,
    type=str,
    metavar="N|auto",
    help="Images per step; auto uses the preset's batch size, in micro-batches if memory requires it.",
)
EVAL_BATCH_SIZE = replace(BATCH_SIZE, key="eval.batch_size", help="Images per batch.")
LR = Flag("optim.lr", "Learning rate after warm-up.", float)
SEED = Flag("seed", "Random seed.", int)
FOLD = Flag(
    "train.fold",
    "Train a development run that holds out fold 1, 2 or 3 of the seen classes.",
    int,
    values=("1", "2", "3"),
)
SAVE_EVERY = Flag("train.save_every", "Save the training state this often. (default: 15)", float, metavar="MINUTES")
ALLOW_PARTIAL = Flag("data.allow_partial", "Use a data set with missing images.", bool)
FEATURES = Flag(
    "data.features", "Feature file to use instead of images: from svipctl embed, your own, or res101.mat.", Path
)
PRECISION = Flag(
    "precision",
    "Numerical precision: auto (bf16 if the hardware supports it), fp32 or bf16.",
    values=("auto", "fp32", "bf16"),
)
GPU = Flag("gpu", "Device: auto, cpu, the index of a GPU, or several: 0,1,2,3. (default: auto)", values=("auto", "cpu"))
OFFLINE = Flag("offline", "Disable all network access.", bool)
DATA_DIR = Flag("data_dir", "Folder of data sets. (default: data)", Path)
RUNS_DIR = Flag("runs_dir", "Folder of runs. (default: runs)", Path)

TRAINING = (
    *(RECIPE, NAME, BACKBONE, WEIGHTS, INIT_FROM, EPOCHS, BATCH_SIZE_OR_AUTO, LR, SEED, FOLD, SAVE_EVERY),
    *(FEATURES, ALLOW_PARTIAL, PRECISION, GPU, OFFLINE, DATA_DIR, RUNS_DIR),
)
"""The flags of `svipctl train`."""
EVALUATION = (EVAL_BATCH_SIZE, PRECISION, GPU, DATA_DIR, RUNS_DIR)
"""The flags of the commands that evaluate a run."""

TRAINING_BY_KEY: Mapping[str, Flag] = {flag.key: flag for flag in TRAINING}
