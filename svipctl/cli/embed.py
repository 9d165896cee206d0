"""Implement `svipctl embed`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from svipctl.cli import _completion, _pictures
from svipctl.cli._command import Overrides, argument, command, option, output_option, sink
from svipctl.cli._runs import open_dataset, select_run
from svipctl.datasets.names import is_dataset
from svipctl.errors import ConfigError
from svipctl.settings import effects, flags
from svipctl.settings.inputs import check_inputs

_ANY_IMAGES = "images"  # instead of a data set: images use the presets of a folder


@command(
    *(flags.BACKBONE, flags.WEIGHTS, flags.ALLOW_PARTIAL, flags.PRECISION, flags.GPU, flags.OFFLINE),
    *(flags.DATA_DIR, flags.RUNS_DIR),
    reads=effects.EMBEDDING,
)
def embed(
    images: list[str] = argument(
        f"cub, awa2, sun, toybirds or your own data set; or images. {_pictures.ARGUMENT_HELP}",
        metavar="DATASET|IMAGES...",
        autocompletion=_completion.datasets,
    ),
    *,
    overrides: Overrides,
    output: Path = output_option("Output file, .npz or .safetensors.", ...),
    run: str | None = option(
        None, "Run whose backbone is used. (default: the pretrained backbone)", autocompletion=_completion.runs
    ),
    dry_run: bool,
) -> None:
    """Write backbone features to a file.

    Each row is the mean patch token of an image. For a data set the file also contains the class names, the split, and
    the features of the mirrored trainval images, as needed by `svipctl baseline DATASET --features FILE`.

    Examples:
        svipctl embed toybirds -o toybirds.npz
        svipctl embed images/ --backbone vit_small -o images.safetensors
        svipctl embed cub --run svipctl-seed0 -o cub.npz

    """
    dataset = images[0] if len(images) == 1 and is_dataset(images[0]) else None
    if dataset is None and (named := [name for name in images if is_dataset(name)]):
        raise ConfigError(f"{named[0]} is a data set, and must be the only argument", todo="omit the other names")
    if dataset is None:
        _pictures.check_named(images)
    if run is None:
        found = None
        overrides = replace(overrides, reads=(*effects.EMBEDDING, *effects.BACKBONE))
        settings = overrides.resolve(dataset or _ANY_IMAGES).settings
        if dataset is not None:
            check_inputs(settings)
    else:
        if overrides.flags.keys() & {"model.backbone", "model.weights"}:
            raise ConfigError("the run determines its backbone and weights", todo="omit --backbone and --weights")
        found, settings = select_run(dataset, run, overrides)
        found.require_network()

    from svipctl.array_files import check_ending
    from svipctl.datasets.registry import pictures_to_draw
    from svipctl.device import choose_device
    from svipctl.inference.image_features import embed_dataset, embed_images
    from svipctl.inference.load import backbone_model, load_run_with
    from svipctl.model.weights import needs_download

    check_ending(output, "features")
    choose_device(settings.gpu)
    if dry_run:
        network = settings.model if found is None else found.settings().model
        to_draw = 0 if dataset is None else pictures_to_draw(dataset, settings.data_dir)
        if dataset is None:
            count = len(list(_pictures.named_pictures(images, "embed")))
        else:
            count = to_draw or len(open_dataset(settings).images)
        download = found is None and needs_download(network.backbone, network.weights, offline=settings.offline)
        plan = {
            "images": count,
            "backbone": network.backbone,
            "run": None if found is None else str(found.folder),
            "pictures_to_draw": to_draw,
            "weights_to_download": download,
            "output": str(output),
        }
        sink.plan(plan)
        return
    model = backbone_model(settings) if found is None else load_run_with(found, settings)
    sink.warn_each(model.notes)
    if dataset is None:
        pictures = list(_pictures.named_pictures(images, "embed"))
        with sink.progress("computing features") as progress:
            file = embed_images(model, pictures, progress)
    else:
        benchmark = open_dataset(settings)
        sink.warn_each(benchmark.warnings)
        with sink.progress("computing features") as progress:
            file = embed_dataset(model, benchmark, workers=settings.data.workers, progress=progress)
    file.save(output)
    count, width = file.features.shape
    mirrored = 0 if file.mirrored is None else len(file.mirrored)
    also = f", and of {mirrored:,} mirror images" if mirrored else ""
    about = {key: value for key, value in file.about.items() if key != "svipctl"}
    sink.result(
        f"{output}: {width:,} features of {count:,} images{also} ({about['features']})",
        {"output": str(output), "images": count, "width": width, "mirrored": mirrored, **about},
    )
