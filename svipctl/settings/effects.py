"""List the settings that each command reads. `--set` refuses all other keys there: training fixes them for a run.

svipctl.toml, `--config` and the environment are shared by all commands; their other keys have no effect
(docs/recipes.md). Like flags.py, it imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from svipctl.errors import ConfigError

Keys = Collection[str]
"""Dotted keys, and sections such as `method.`"""

_FOLDERS = ("data_dir", "runs_dir", "offline")
EXPORT: Keys = (*_FOLDERS, "data.allow_partial")
"""Keys that `export` reads."""
IMAGES: Keys = (*EXPORT, "gpu", "precision", "seed")
"""Keys that the figures of single images read."""
PREDICTION: Keys = (*_FOLDERS, "gpu", "precision", "eval.batch_size", "eval.compile")
"""Keys that `predict` reads."""
EMBEDDING: Keys = (*IMAGES, "data.workers")
"""Keys that `embed` reads."""
BACKBONE: Keys = (
    *("model.backbone", "model.backbone_args", "model.weights"),
    *("data.normalise", "data.resize", "data.test_resize"),
)
"""Keys that `embed` also reads without a run."""
EVALUATION: Keys = (*IMAGES, "data.workers", "eval.")
"""Keys that `eval` and the figures of whole evaluations read."""
BASELINE: Keys = (*IMAGES, "recipe", "name", "model.", "data.", "eval.")
"""Keys that `baseline` reads."""
TUNING: Keys = (
    *(*IMAGES, "recipe", "eval.batch_size", "eval.selection"),
    *("model.", "method.", "data.", "optim.", "train."),
)
"""Keys that `tune` reads."""
PUBLISHED: Keys = (
    *("recipe", "model.backbone", "model.backbone_args", "model.window", "model.classifier_hidden"),
    *("method.", "data.normalise", "data.resize", "data.test_resize"),
)
"""Keys that `eval` also reads for a weights file that does not describe its network."""
PACKING: Keys = (
    *(*EXPORT, "recipe", "model.backbone", "model.backbone_args"),
    *("data.resize", "data.test_resize", "data.augment"),
)
"""Keys that `data pack` reads."""


def check_effect(assignments: Sequence[str], reads: Keys | None) -> None:
    """Raise ConfigError if `--set` names a setting that the command does not read; unknown keys are checked
    elsewhere.

    Args:
        assignments: Each `key=value` of `--set`.
        reads: Keys that the command reads; all if None.

    """
    from svipctl.settings.keys import flat_values, full_keys, known_keys, nested, parse_setting

    known = [key for key, _ in known_keys()]
    pairs = [assignment.partition("=") for assignment in assignments]
    named = [(full_keys(name.strip()), value.strip()) for name, _, value in pairs]
    tree = nested({keys[0]: parse_setting(keys[0], value) for keys, value in named if len(keys) == 1})
    given = [key for key in flat_values(tree) if any(key == one or key.startswith(f"{one}.") for one in known)]
    useless = [key for key in given if key == "dataset" or not is_read(key, reads)]
    if useless:
        is_name = useless == ["dataset"]
        raise ConfigError(
            f"--set {', '.join(useless)}: this command does not read {'it' if len(useless) == 1 else 'them'}",
            why="the data set is the command's argument" if is_name else "training fixes such values for the run",
            todo="omit it" if is_name else f"omit {'it' if len(useless) == 1 else 'them'}, or train another run",
        )


def is_read(key: str, reads: Keys | None) -> bool:
    """Return True if a key, or a key inside it, is among those that a command reads."""
    return reads is None or any(
        key.startswith(one) if one.endswith(".") else key == one or key.startswith(f"{one}.") for one in reads
    )
