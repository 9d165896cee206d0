"""Implement `svipctl embed`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from svipctl.cli import _completion, _options, _pictures
from svipctl.cli._command import command
from svipctl.cli._output import sink
from svipctl.cli._overrides import Overrides
from svipctl.cli._runs import find_any_run, open_dataset, select_run, with_precision_of
from svipctl.datasets.names import is_dataset
from svipctl.errors import ConfigError
from svipctl.plans import describe_plan
from svipctl.settings import flags
from svipctl.settings.inputs import check_inputs

if TYPE_CHECKING:
    from svipctl.datasets.feature_file import FeatureFile
    from svipctl.inference.trained_model import TrainedModel
    from svipctl.runs.run import Run
    from svipctl.settings.schema import Settings

_ANY_IMAGES = "images"  # instead of a data set: images use the presets of a folder


@command(
    *(flags.BACKBONE, flags.WEIGHTS, flags.ALLOW_PARTIAL, flags.PRECISION, flags.GPU, flags.OFFLINE),
    *(flags.DATA_DIR, flags.RUNS_DIR),
    dry_run=True,
    reads="EMBEDDING",
)
def embed(
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="DATASET|IMAGES...",
            help=f"cub, awa2, sun, toybirds, a folder of your own, or images. {_pictures.ARGUMENT_HELP}",
            show_default=False,
            autocompletion=_completion.datasets,
        ),
    ],
    *,
    overrides: Overrides,
    output: Annotated[Path, _options.output("Output file, .npz or .safetensors.")],
    run: Annotated[
        str | None,
        typer.Option(
            "--run",
            help="Run whose backbone is used. (default: the pretrained backbone)",
            autocompletion=_completion.runs,
        ),
    ] = None,
    dry_run: bool,
) -> None:
    """Write the features of a backbone to a file.

    A row is the mean patch of an image. The file of a data set also has the mirror images of trainval, the classes
    and the split, for `svipctl baseline DATASET --features FILE`.

    Examples:
        svipctl embed toybirds -o toybirds.npz
        svipctl embed pictures/ --backbone vit_small -o pictures.safetensors
        svipctl embed cub --run svipctl-seed0 -o cub.npz

    """
    dataset = images[0] if len(images) == 1 and is_dataset(images[0]) else None
    if dataset is None and (named := [name for name in images if is_dataset(name)]):
        raise ConfigError(f"{named[0]} is a data set, and must be the only argument", todo="omit the other names")
    if dataset is None:
        _pictures.check_named(images)
    found, settings = _chosen(dataset, run, overrides)

    from svipctl.array_files import check_ending
    from svipctl.device import choose_device

    check_ending(output, "features")
    choose_device(settings.gpu)
    if dry_run:
        plan = _plan(dataset, images, found, settings) | {"output": str(output)}
        sink.say(describe_plan(plan))
        sink.document({"dry_run": True, **plan})
        return
    file = _embedded(dataset, images, _model(found, settings), settings)
    file.save(output)
    count, width = file.features.shape
    mirrored = 0 if file.mirrored is None else len(file.mirrored)
    also = f", and of {mirrored:,} mirror images" if mirrored else ""
    sink.say(f"{output}: {width:,} features of {count:,} images{also} ({file.about['features']})")
    document = {key: value for key, value in file.about.items() if key != "svipctl"}
    sink.document({"output": str(output), "images": count, "width": width, "mirrored": mirrored, **document})


def _chosen(dataset: str | None, name: str | None, overrides: Overrides) -> tuple[Run | None, Settings]:
    """Return the run whose backbone is used, if one is named, and the settings."""
    if name is None:
        from svipctl.settings.effects import BACKBONE

        settings = overrides.resolve(dataset or _ANY_IMAGES, reads=BACKBONE).settings
        if dataset is not None:
            check_inputs(settings)
        return None, settings
    if overrides.flags.keys() & {"model.backbone", "model.weights"}:
        raise ConfigError("the run determines its backbone and weights", todo="omit --backbone and --weights")
    if dataset is not None:
        found, settings = select_run(dataset, name, overrides)
    else:
        found = find_any_run(name, overrides)
        trained = found.settings()
        settings = with_precision_of(trained, overrides.resolve(trained.dataset))
    found.require_network()
    return found, settings


def _model(run: Run | None, settings: Settings) -> TrainedModel:
    from svipctl.device import choose_dtype, use_device
    from svipctl.inference.backbone_model import backbone_model
    from svipctl.inference.load import load_run

    if run is None:
        return backbone_model(settings)
    device = use_device(settings.gpu)
    return load_run(run, device, choose_dtype(settings.precision, device))


def _embedded(dataset: str | None, names: list[str], model: TrainedModel, settings: Settings) -> FeatureFile:
    from svipctl.inference.embed import embed_dataset, embed_images

    for note in model.notes:
        sink.warn(note)
    if dataset is None:
        pictures = _found(names)
        with sink.progress("computing features") as progress:
            return embed_images(model, pictures, progress)
    benchmark = open_dataset(settings)
    for warning in benchmark.warnings:
        sink.warn(warning)
    with sink.progress("computing features") as progress:
        return embed_dataset(model, benchmark, workers=settings.data.workers, progress=progress)


def _found(names: list[str]) -> list[Path]:
    """Return the image files of the names, with a warning about ignored files."""
    from svipctl.datasets.image_files import Entry, described
    from svipctl.errors import DataError

    left_out: list[Entry] = []
    pictures = list(_pictures.named_pictures(names, left_out.append))
    if left_out:
        sink.warn(described(left_out))
    if not pictures:
        raise DataError("no image was given", why="the list on stdin is empty")
    return pictures


def _plan(dataset: str | None, names: list[str], run: Run | None, settings: Settings) -> dict[str, Any]:
    """Return the plan: images and backbone; images of a data set that is not drawn yet are counted."""
    from svipctl.datasets.registry import pictures_to_draw
    from svipctl.model.weights import needs_download

    model = settings.model if run is None else run.settings().model
    to_draw = pictures_to_draw(settings.dataset, settings.data_dir) if dataset is not None else 0
    if dataset is None:
        count = len(_found(names))
    else:
        count = to_draw or len(open_dataset(settings).images)
    download = run is None and needs_download(model.backbone, model.weights, offline=settings.offline)
    return {
        "images": count,
        "backbone": model.backbone,
        "run": None if run is None else str(run.folder),
        "pictures_to_draw": to_draw,
        "weights_to_download": download,
    }
