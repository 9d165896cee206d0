"""Implement `svipctl predict`."""

from __future__ import annotations

import csv as csv_files
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from svipctl.cli import _options, _pictures
from svipctl.cli._command import command
from svipctl.cli._output import sink
from svipctl.cli._overrides import Overrides
from svipctl.cli._runs import announce_gamma, announce_run, find_any_run, open_dataset, with_precision_of
from svipctl.datasets.names import is_dataset
from svipctl.errors import CheckFailed, ConfigError, DataError, shortened_name
from svipctl.files import require_path
from svipctl.quoting import spreadsheet_cell
from svipctl.settings import flags

if TYPE_CHECKING:
    from svipctl.datasets.benchmark import Benchmark
    from svipctl.inference.trained_model import ClassifiedImage
    from svipctl.settings.schema import Settings

_COLUMNS = ("image", "rank", "class", "score", "for", "against", "patches")


@command(*flags.EVALUATION, reads="PREDICTION")
def predict(
    images: Annotated[
        list[str],
        typer.Argument(help=_pictures.ARGUMENT_HELP, show_default=False),
    ],
    *,
    overrides: Overrides,
    run: _options.RunName = None,
    classes: Annotated[
        Path | None, typer.Option("--classes", help="CSV file of your own classes, replacing the run's.")
    ] = None,
    extend: Annotated[bool, typer.Option("--extend", help="Add the classes of --classes to the run's.")] = False,
    gamma: Annotated[
        float | None,
        typer.Option(
            "--gamma", help="Value to subtract from the scores of seen classes. (default: the run's calibrated gamma)"
        ),
    ] = None,
    top: Annotated[int, typer.Option("--top", min=1, help="Answers per image.")] = 5,
    reasons: Annotated[
        bool, typer.Option("--reasons", help="Show the attributes for and against each answer.")
    ] = False,
    csv: _options.Csv = False,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first unreadable image.")] = False,
) -> None:
    """Classify images with a trained run.

    The candidates are the run's classes, or your own.

    Examples:
        svipctl predict photo.jpg
        svipctl predict photo.jpg --reasons
        svipctl predict pictures/ --classes mine.csv --csv
        find . -name "*.jpg" | svipctl predict - --json

    """
    if sink.json and csv:
        raise ConfigError("--json and --csv cannot be combined", todo="choose one")
    if extend and classes is None:
        raise ConfigError("--extend needs --classes", todo="--classes FILE.csv")

    if is_dataset(images[0]):
        from svipctl.runs.lookup import check_is_no_dataset

        check_is_no_dataset(images, overrides.workspace().runs_dir)
        sink.warn(f"{images[0]} is a data set: all its images are classified, including training images")
    found = find_any_run(run, overrides)
    if run is None:
        announce_run(found)
    found.require_network()
    trained = found.settings()
    settings = with_precision_of(trained, overrides.resolve(trained.dataset))
    _pictures.check_named(images)
    if classes is not None:
        require_path(classes, "table", "pass a CSV file, or create it")

    from svipctl.datasets.image_files import Entry, described
    from svipctl.device import choose_dtype, use_device
    from svipctl.inference.checkpoint import read_metadata
    from svipctl.inference.class_table import candidate_classes
    from svipctl.inference.gamma import Gamma
    from svipctl.inference.load import load_run
    from svipctl.inference.trained_model import UnreadableImage

    given = None if gamma is None else Gamma(gamma, "given")
    device = use_device(settings.gpu)
    benchmark = _benchmark(settings, needed=classes is None or extend)
    table = candidate_classes(read_metadata(found.best), benchmark, classes, extend=extend)
    for one, other in table.indistinguishable():
        sink.warn(f"classes {one!r} and {other!r} have the same attributes, so that no image can distinguish them")
    model = load_run(found, device, choose_dtype(settings.precision, device))
    chosen = given or model.gamma
    if table.seen.any() and not table.seen.all():
        announce_gamma(chosen)
    rows = csv_files.writer(sys.stdout, lineterminator="\n") if csv else None
    if rows:
        rows.writerow(_COLUMNS)
    show = _show_reasons if reasons else _Lines(table.classes).show
    head: dict[str, Any] = {"run": str(found.folder), "dataset": model.metadata.dataset, **chosen.document()}
    sink.begin_list({**head, "classes": len(table.classes), "attributes": list(model.attributes)}, "images")
    done = failed = 0
    left_out: list[Entry] = []
    # On a terminal the results themselves appear one by one.
    shown = nullcontext(lambda done, total: None) if sys.stdout.isatty() else sink.progress("classifying")
    with shown as progress:
        results = model.classify_each(
            _pictures.named_pictures(images, left_out.append),
            table,
            gamma=chosen.value,
            top=top,
            batch_size=settings.eval.batch_size,
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
                    rows.writerows([[spreadsheet_cell(cell) for cell in row] for row in result.rows()])
                else:
                    show(result)
                sink.item(result.document())
            progress(done + failed, done + failed)
    if left_out:
        sink.warn(described(left_out))
    counts = {"named": done, "failed": failed}
    if not done and not failed:
        raise CheckFailed("no image was given", why="the list on stdin is empty")
    if failed:
        raise CheckFailed(
            f"{failed} of {done + failed} images could not be read",
            why="the others were classified" if done else "",
            todo="see the warnings",
            document=counts,
        )
    sink.document(counts)


def _benchmark(settings: Settings, *, needed: bool) -> Benchmark | None:
    """Open the run's data set. If only the range of its values is needed, it may be absent and is not drawn."""
    from svipctl.datasets.registry import pictures_to_draw

    try:
        if not needed and pictures_to_draw(settings.dataset, settings.data_dir):
            raise DataError(f"{settings.dataset} is not in {settings.data_dir}")
        return open_dataset(settings, allow_partial=True)
    except (DataError, ConfigError) as error:
        if needed:
            raise
        sink.warn(f"the values of the class table are not checked against the data set's range: {error.what}")
        return None


class _Lines:
    """A line per image: its name, the best class with its score, and as many more classes as fit."""

    def __init__(self, classes: Sequence[str]) -> None:
        self._class = min(max(map(len, classes)), max(16, sink.columns // 2 - 8))
        self._image = max(12, min(40, sink.columns - self._class - 9))

    def show(self, named: ClassifiedImage) -> None:
        """Print the line; names are shortened to the width of a terminal, and complete elsewhere."""
        answers = [f"{answer.name} {answer.score:.3f}" for answer in named.answers]
        if not sys.stdout.isatty():
            sink.say("  ".join([str(named.image), *answers]))
            return
        image, name = shortened_name(str(named.image), self._image), shortened_name(named.answers[0].name, self._class)
        line = f"{image:{self._image}}  {name:{self._class}} {named.answers[0].score:6.3f}"
        for answer in answers[1:]:
            if len(line) + 2 + len(answer) > sink.columns:
                break
            line += f"  {answer}"
        sink.say(line)


def _show_reasons(named: ClassifiedImage) -> None:
    """Print an image's related windows, and its best classes with the attributes for and against each."""
    kept = " ".join("".join("#" if cell else "." for cell in row) for row in named.related)
    sink.say(f"{named.image}\n  related windows: {kept}")
    for answer in named.answers:
        sink.say(f"  {answer.score:6.3f}  {answer.name}")
        for word, reasons in (("for", answer.speaks_for), ("against", answer.speaks_against)):
            sink.say(f"          {word}: {', '.join(map(str, reasons)) or 'nothing'}")
