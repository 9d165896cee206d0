"""The figures of images: select the run, the images and the file, draw the pages, and print what was written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from svipctl.cli._output import sink
from svipctl.cli._runs import select_run
from svipctl.cli.visualize._evaluation import open_run_dataset
from svipctl.cli.visualize._options import ImageOptions
from svipctl.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from svipctl.cli._overrides import Overrides
    from svipctl.datasets.benchmark import Benchmark
    from svipctl.datasets.benchmark import Split as DataSplit
    from svipctl.runs.run import Run
    from svipctl.settings.schema import Settings
    from svipctl.visuals.inspection import Inspection, Inspector

_SHOWN = 16
_OF_A_FOLD = {"test": "validation", "seen": "seen validation", "unseen": "unseen validation", "train": "training"}


@dataclass(frozen=True)
class Plan:
    """What is to be drawn, before any model is loaded."""

    figure: str
    options: ImageOptions
    run: Run
    settings: Settings
    benchmark: Benchmark
    split: DataSplit
    images: Sequence[int | Path]
    """Indices of the data set's images, or paths of your own."""
    file: Path

    @property
    def head(self) -> dict[str, Any]:
        """First entries of every document."""
        return {
            "dataset": self.benchmark.name,
            "run": str(self.run.folder),
            "figure": self.figure,
            "split": None if self.options.images else self.split_name,
            "theme": self.options.theme.value,
        }

    @property
    def split_name(self) -> str:
        """Name of the split, in the run's own terms."""
        part = self.options.split.value
        return part if self.split.name == "test" else f"{self.split.name} {_OF_A_FOLD[part]}"

    @property
    def title(self) -> str:
        """Second part of the figure's title."""
        whose = "own pictures" if self.options.images else f"{self.split_name} images"
        return f"{self.benchmark.name}, {whose} · {self.run.name}"


def plan_figure(
    figure: str, dataset: str, options: ImageOptions, overrides: Overrides, *, shown: int | None = _SHOWN
) -> Plan:
    """Select the run, the data set and the images, and check that the file can be written.

    Args:
        figure: Name of the figure, which names the file.
        dataset: The run's data set.
        options: Of the command.
        overrides: The settings of the command line.
        shown: Images of a split that are shown without --limit; None for all of them.

    """
    if options.images and options.classes:
        raise ConfigError(
            "--class chooses images of the data set, and pictures of your own are named", todo="leave one out"
        )

    run, settings = select_run(dataset, options.run, overrides)

    from svipctl.inference.image_files import find_pictures
    from svipctl.visuals.image_choice import images_of, spread

    is_own = options.images and options.output is None
    file = output_file(options.output, run, f"{figure}-own" if is_own else figure)
    benchmark = open_run_dataset(run, settings)
    split = benchmark.split(run.settings().train.fold)
    images: list[int | Path]
    if options.images:
        images = list(islice(find_pictures(options.images), options.limit))
    else:
        found = images_of(benchmark, split, options.split.value, options.classes or ())
        count = None if shown is None else options.limit or shown
        images = [int(index) for index in (spread(found, count) if count else found)]
    return Plan(figure, options, run, settings, benchmark, split, images, file)


def output_file(given: Path | None, run: Run, figure: str) -> Path:
    """Return the file of a figure: the given one, or one in the given folder, or one in the run's folder."""
    from svipctl.visuals.style import check_suffix

    if given is None:
        return run.folder / "figures" / f"{figure}.png"
    if given.is_dir() or not given.suffix:
        return given / f"{figure}.png"
    check_suffix(given)
    return given


def show_plan(plan: Plan) -> None:
    """Show what --dry-run found."""
    sink.say(f"{len(plan.images)} images of {plan.title} would be shown in {plan.file}")
    sink.document(
        {
            **plan.head,
            "dry_run": True,
            "images": [_named(plan, image) for image in plan.images],
            "files": [str(plan.file)],
        }
    )


def draw_pages(
    plan: Plan,
    inspector: Inspector,
    draw: Callable[[Sequence[Inspection]], Figure],
    per_page: int,
    *,
    details: Callable[[Inspection], dict[str, Any]] = lambda one: {},
    summary: Callable[[], dict[str, Any]] = dict,
    notice: Callable[[Inspection], None] = lambda one: None,
) -> None:
    """Run the model on the images, write the pages, and print what was written.

    Args:
        plan: From `plan_figure`.
        inspector: The model.
        draw: A page.
        per_page: Images on it.
        details: More entries of an image for --json.
        summary: Last entries of the document, called after the last image.
        notice: Called with each image.

    """
    from svipctl.signals import listening
    from svipctl.visuals.pages import write_pages
    from svipctl.visuals.style import themed

    files: list[str] = []
    sink.begin_list(plan.head, "images")
    with listening() as stop, sink.progress("looking") as progress, themed(plan.options.theme.value):

        def watched() -> Iterator[Inspection]:
            for done, one in enumerate(inspector.inspect(plan.images), 1):
                stop.raise_if_asked()
                notice(one)
                progress(done, len(plan.images))
                yield one

        for page in write_pages(watched(), plan.file, draw, per_page):
            files.append(str(page.path))
            sink.say(f"{page.path}: {len(page.items)} images")
            for one in page.items:
                sink.item({**item(one), **details(one), "file": files[-1]})
    sink.document({"files": files, **summary()})


def item(one: Inspection) -> dict[str, Any]:
    """Return an image's entry in a document."""
    return {
        "image": one.name,
        "class": one.true_class,
        "seen": one.is_seen,
        "answer": one.answer,
        "kept": None if one.kept is None else [[int(place) for place in pair] for pair in zip(*one.kept.nonzero())],
        "grid": list(one.scores.shape),
        "auc": one.auc,
    }


def _named(plan: Plan, image: int | Path) -> dict[str, Any]:
    if isinstance(image, Path):
        return {"image": str(image)}
    return {"image": plan.benchmark.images[image], "class": plan.benchmark.classes[plan.benchmark.labels[image]]}
