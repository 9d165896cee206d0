"""Implement `svipctl predict`."""

from __future__ import annotations

import csv as csv_files
import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from svipctl.cli import _pictures
from svipctl.cli._command import Csv, Overrides, RunName, argument, command, option, sink
from svipctl.cli._runs import announce_gamma, announce_run, find_run, open_dataset
from svipctl.datasets.names import is_dataset
from svipctl.errors import CheckFailed, ConfigError, shortened, shortened_name
from svipctl.files import require_path
from svipctl.quoting import spreadsheet_cell
from svipctl.settings import effects, flags

if TYPE_CHECKING:
    from svipctl.inference.answers import ClassifiedImage

_COLUMNS = ("image", "rank", "class", "score", "for", "against", "patches")


@command(*flags.EVALUATION, reads=effects.PREDICTION)
def predict(
    images: list[str] = argument(_pictures.ARGUMENT_HELP),
    *,
    overrides: Overrides,
    run: RunName = None,
    classes: Path | None = option(None, "CSV file of your own classes, replacing the run's."),
    extend: bool = option(False, "Add the classes of --classes to the run's."),
    gamma: float | None = option(
        None, "Value to subtract from the scores of seen classes. (default: the run's calibrated gamma, or 0)"
    ),
    top: int = option(5, "Predicted classes per image.", min=1),
    reasons: bool = option(False, "Show the attributes for and against each answer."),
    csv: Csv = False,
    strict: bool = option(False, "Stop at the first unreadable image."),
) -> None:
    """Classify images with a trained model.

    The candidates are the run's classes, or your own.

    Examples:
        svipctl predict photo.jpg
        svipctl predict photo.jpg --reasons
        svipctl predict images/ --classes mine.csv --csv
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
    found, settings = find_run(None, run, overrides)
    if run is None:
        announce_run(found)
    found.require_network()
    _pictures.check_named(images)
    if classes is not None:
        require_path(classes, "table", "pass a CSV file, or create it")

    from svipctl.device import choose_device
    from svipctl.inference.answers import UnreadableImage
    from svipctl.inference.checkpoint import read_metadata
    from svipctl.inference.class_table import candidate_classes
    from svipctl.inference.gamma import Gamma
    from svipctl.inference.load import load_run_with

    given = None if gamma is None else Gamma(gamma, "given")
    choose_device(settings.gpu)
    own = partial(open_dataset, settings, allow_partial=True)
    table = candidate_classes(read_metadata(found.best), own, classes, extend=extend)
    if same := [f"{one!r} and {other!r}" for one, other in table.indistinguishable()]:
        sink.warn(f"classes {shortened(same, 8)} have the same attributes, so that no image can distinguish them")
    model = load_run_with(found, settings)
    model.network.run_blocks(compiled=settings.eval.compile)
    chosen = given or model.gamma
    if table.seen.any() and not table.seen.all():
        announce_gamma(chosen, found)
    elif chosen.value and not table.seen.any():
        sink.note(f"{chosen} is not used: no candidate has the name of a class that {found.name} was trained on")
    rows = csv_files.writer(sys.stdout, lineterminator="\n") if csv else None
    if rows:
        rows.writerow(_COLUMNS)
    width = min(max(map(len, table.classes)), max(16, sink.columns // 2 - 8))
    show = _show_reasons if reasons else partial(_show_line, width)
    head = {"run": str(found.folder), "dataset": model.metadata.dataset, **chosen.document()}
    sink.begin_list({**head, "classes": len(table.classes), "attributes": list(model.attributes)}, "images")
    done = failed = 0
    # On a terminal the results themselves appear one by one.
    shown = nullcontext(lambda done, total: None) if sys.stdout.isatty() else sink.progress("classifying")
    with shown as progress:
        pictures = _pictures.named_pictures(images, "predict")
        batch_size = settings.eval.batch_size
        for result in model.classify_each(pictures, table, gamma=chosen.value, top=top, batch_size=batch_size):
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
    counts = {"named": done, "failed": failed}
    if failed:
        raise CheckFailed(
            f"{failed} of {done + failed} images could not be read",
            why="the others were classified" if done else "",
            todo="see the warnings",
            document=counts,
        )
    sink.document(counts)


def _show_line(class_width: int, named: ClassifiedImage) -> None:
    """Print an image's name, its best class with its score, and as many more classes as fit.

    Names are shortened to the width of a terminal, and complete elsewhere.
    """
    answers = [f"{answer.name} {answer.score:.3f}" for answer in named.answers]
    if not sys.stdout.isatty():
        sink.say("  ".join([str(named.image), *answers]))
        return
    width = max(12, min(40, sink.columns - class_width - 9))
    image, name = shortened_name(str(named.image), width), shortened_name(named.answers[0].name, class_width)
    line = f"{image:{width}}  {name:{class_width}} {named.answers[0].score:6.3f}"
    for answer in answers[1:]:
        if len(line) + 2 + len(answer) > sink.columns:
            break
        line += f"  {answer}"
    sink.say(line)


def _show_reasons(named: ClassifiedImage) -> None:
    """Print an image's related windows if some are not, and its best classes with the attributes for and against."""
    sink.say(str(named.image))
    if not named.related.all():
        kept = " ".join("".join("#" if cell else "." for cell in row) for row in named.related)
        sink.say(f"  related windows: {kept}")
    for answer in named.answers:
        sink.say(f"  {answer.score:6.3f}  {answer.name}")
        for word, reasons in (("for", answer.speaks_for), ("against", answer.speaks_against)):
            sink.say(f"          {word}: {', '.join(map(str, reasons)) or 'nothing'}")
