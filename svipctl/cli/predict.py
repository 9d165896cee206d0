"""`svipctl predict`."""

from __future__ import annotations

import csv as csv_files
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from svipctl.cli import _options
from svipctl.cli._command import command
from svipctl.cli._output import sink
from svipctl.cli._overrides import Overrides
from svipctl.cli._runs import announce_run, find_any_run, interruptible, open_dataset, with_precision_of
from svipctl.errors import CheckFailed, ConfigError, DataError
from svipctl.settings import flags

if TYPE_CHECKING:
    from svipctl.datasets.benchmark import Benchmark
    from svipctl.inference.answers import Reason
    from svipctl.inference.trained_model import ClassifiedImage
    from svipctl.settings.schema import Settings

_COLUMNS = ("image", "rank", "class", "score", "for", "against", "patches")


@command(*flags.EVALUATION, reads="PREDICTION")
def predict(
    images: Annotated[
        list[str],
        typer.Argument(help="Files, folders, patterns in quotes, or - for a list on stdin.", show_default=False),
    ],
    *,
    overrides: Overrides,
    run: _options.RunName = None,
    classes: Annotated[
        Path | None, typer.Option("--classes", help="A CSV file of your own classes, instead of the run's.")
    ] = None,
    extend: Annotated[bool, typer.Option("--extend", help="Add those classes to the run's.")] = False,
    gamma: Annotated[
        float | None,
        typer.Option(
            "--gamma", help="Subtract this from the scores of seen classes. (default: the run's calibrated one)"
        ),
    ] = None,
    top: Annotated[int, typer.Option("--top", min=1, help="Answers per image.")] = 5,
    csv: _options.Csv = False,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first image that cannot be read.")] = False,
) -> None:
    """Classify images, among the run's classes or your own.

    Examples:
        svipctl predict photo.jpg
        svipctl predict pictures/ --classes mine.csv --csv
        find . -name "*.jpg" | svipctl predict - --json

    """
    if sink.json and csv:
        raise ConfigError("--json and --csv are two forms of the same output", todo="choose one")
    if extend and classes is None:
        raise ConfigError("--extend adds classes to the run's, and there are none to add", todo="--classes FILE.csv")

    found = find_any_run(run, overrides)
    if run is None:
        announce_run(found)
    found.require_network()
    trained = found.settings()
    settings = with_precision_of(trained, overrides.resolve(trained.dataset))

    from svipctl.device import choose_dtype, use_device
    from svipctl.inference.checkpoint import read_metadata
    from svipctl.inference.class_table import candidate_classes
    from svipctl.inference.find_images import find_pictures, listed
    from svipctl.inference.gamma import Gamma
    from svipctl.inference.load import load_run
    from svipctl.inference.trained_model import UnreadableImage

    given = None if gamma is None else Gamma(gamma, "given")
    device = use_device(settings.gpu)
    benchmark = _benchmark(settings, needed=classes is None or extend)
    table = candidate_classes(read_metadata(found.best), benchmark, classes, extend=extend)
    for one, other in table.indistinguishable():
        sink.warn(f"classes {one!r} and {other!r} have the same attributes: no image can tell them apart")
    model = load_run(found, device, choose_dtype(settings.precision, device))
    chosen = given or model.gamma
    if chosen.value == 0 and given is None and table.seen.any() and not table.seen.all():
        sink.warn(f"gamma is 0, which favours the classes that were trained: {chosen.origin}; --gamma sets it")
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")  # a file's name need not be text
    rows = csv_files.writer(sys.stdout, lineterminator="\n") if csv else None
    if rows:
        rows.writerow(_COLUMNS)
    head: dict[str, Any] = {"run": str(found.folder), "dataset": model.metadata.dataset}
    head |= {"gamma": chosen.value, "gamma_origin": chosen.origin, "classes": len(table.classes)}
    sink.begin_list(head, "images")
    named = (entry for name in images for entry in (listed(sys.stdin) if name == "-" else [name]))
    done = failed = 0
    with interruptible("naming") as progress:
        results = model.classify_each(
            find_pictures(named), table, gamma=chosen.value, top=top, batch_size=settings.eval.batch_size
        )
        for result in results:
            if isinstance(result, UnreadableImage):
                if strict:
                    raise result.error
                failed += 1
                sink.warn(f"{result.error.what}: {result.error.why}" if result.error.why else result.error.what)
                sink.item({"image": str(result.image), "error": str(result.error)})
            else:
                done += 1
                if rows:
                    rows.writerows(_rows(result))
                else:
                    _show(result)
                sink.item(result.document())
            progress(done + failed, done + failed)
    counts = {"named": done, "failed": failed}
    if not done and not failed:
        raise CheckFailed("no image was named", why="the list on stdin is empty")
    if failed:
        raise CheckFailed(
            f"{failed} of {done + failed} images could not be read",
            why="the others were named" if done else "",
            todo="see the warnings",
            document=counts,
        )
    sink.document(counts)


def _benchmark(settings: Settings, *, needed: bool) -> Benchmark | None:
    """Open the run's data set. For the range of its values alone, it may be absent and is not drawn."""
    from svipctl.datasets.registry import pictures_to_draw

    try:
        if not needed and pictures_to_draw(settings.dataset, settings.data_dir):
            raise DataError(f"{settings.dataset} is not in {settings.data_dir}")
        return open_dataset(settings, allow_partial=True)
    except (DataError, ConfigError) as error:
        if needed:
            raise
        sink.warn(f"the values of the class table are not held against the data set's range: {error.what}")
        return None


def _show(named: ClassifiedImage) -> None:
    kept = " ".join("".join("#" if cell else "." for cell in row) for row in named.related)
    rows = [
        [answer.name, f"{answer.score:.3f}", _reasons(answer.speaks_for), _reasons(answer.speaks_against)]
        for answer in named.answers
    ]
    sink.table(f"{named.image}   windows kept: {kept}", ["class", "score", "for", "against"], rows)


def _rows(named: ClassifiedImage) -> list[list[object]]:
    patches = " ".join(f"{row}:{column}" for row, column in named.kept_windows)
    rows: list[list[object]] = []
    for rank, answer in enumerate(named.answers, 1):
        reasons = [_reasons(found, "; ") for found in (answer.speaks_for, answer.speaks_against)]
        rows.append([named.image, rank, answer.name, f"{answer.score:.6f}", *reasons, patches])
    return rows


def _reasons(reasons: tuple[Reason, ...], separator: str = ", ") -> str:
    return separator.join(
        f"{'no ' if reason.lacking else ''}{reason.attribute} {reason.weight:+.2f}" for reason in reasons
    )
