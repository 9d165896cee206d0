"""Draw figures of images: select the run, the images and the file, draw the pages, and print the written files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from svipctl.cli._output import sink
from svipctl.cli._runs import announce_gamma
from svipctl.cli.visualize._figure import Figure, open_run_dataset, plan_figure
from svipctl.cli.visualize._options import ImageOptions
from svipctl.errors import ConfigError
from svipctl.quoting import shell_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from svipctl.cli._overrides import Overrides
    from svipctl.datasets.benchmark import Benchmark
    from svipctl.datasets.benchmark import Split as DataSplit
    from svipctl.visuals.inspection import Inspection, Inspector

_SHOWN = 16
_MOST_IN_A_FILE = 200
"""Maximum number of images in one file of --output; taller figures cannot be opened by many programs."""
_OF_A_FOLD = {"test": "validation", "seen": "seen validation", "unseen": "unseen validation", "train": "training"}


@dataclass(frozen=True)
class ImageFigure(Figure):
    """A figure of images before any model is loaded."""

    options: ImageOptions
    benchmark: Benchmark
    split: DataSplit
    images: Sequence[int | Path]
    """Indices of the data set's images, or paths of your own."""

    @property
    def head(self) -> dict[str, Any]:
        """First entries of the document."""
        split = None if self.options.images else self.split_name
        return {"dataset": self.benchmark.name, **super().head, "split": split}

    @property
    def split_name(self) -> str:
        """Name of the split, as the run uses it."""
        part = self.options.split.value
        return part if self.split.name == "test" else f"{self.split.name} {_OF_A_FOLD[part]}"

    @property
    def title(self) -> str:
        """Second part of the figure's title."""
        whose = "own pictures" if self.options.images else f"{self.split_name} images"
        return f"{self.benchmark.name}, {whose} · {self.run.name}"

    def heading(self, what: str, inspector: Inspector) -> str:
        """Return the figure's title, and below it the gamma of the answers."""
        return f"{what}: {self.title}\nAnswers are given with {inspector.model.gamma}."


def plan_images(
    name: str, dataset: str, options: ImageOptions, overrides: Overrides, *, shown: int | None = _SHOWN
) -> ImageFigure:
    """Select the run, the data set and the images, and check that the file can be written.

    Args:
        name: Name of the figure, which names the file.
        dataset: The run's data set.
        options: Options of the command.
        overrides: Settings of the command line.
        shown: Number of images of a split without --limit; None for all of them.

    """
    if options.images and options.classes:
        raise ConfigError(
            "--class selects images of the data set, and your own images were given", todo="omit one of them"
        )
    figure = plan_figure(name, dataset, options, overrides, file_name=f"{name}-own" if options.images else name)

    from svipctl.datasets.image_files import Entry, described
    from svipctl.inference.find_images import find_pictures
    from svipctl.visuals.image_choice import images_of, spread

    run, settings = figure.run, figure.settings
    benchmark = open_run_dataset(run, settings, figure.file)
    split = benchmark.split(run.settings().train.fold)
    images: list[int | Path]
    if options.images:
        left_out: list[Entry] = []
        images = list(islice(find_pictures(options.images, left_out.append), options.limit))
        if left_out:
            sink.warn(described(left_out))
    else:
        found = images_of(benchmark, split, options.split.value, options.classes or ())
        count = None if shown is None else options.limit or shown
        images = [int(index) for index in (spread(found, count) if count else found)]
    if options.is_one_file and shown is not None and len(images) > _MOST_IN_A_FILE:
        folder = figure.file.with_suffix("")
        raise ConfigError(
            f"{len(images)} images are too many for one file",
            todo=f"use {shell_words('-o', f'{folder}/')} for a folder of pages, "
            f"or {shell_words('--limit', _MOST_IN_A_FILE)}",
        )
    return ImageFigure(name, options, run, settings, figure.file, benchmark, split, images)


def show_plan(plan: ImageFigure) -> None:
    """Print the plan of --dry-run."""
    sink.say(f"{len(plan.images)} images of {plan.title} would be shown in {plan.file}")
    images = [_named(plan, image) for image in plan.images]
    sink.document({**plan.head, "dry_run": True, "images": images, "files": [str(plan.file)]})


@contextmanager
def inspected(plan: ImageFigure, inspector: Inspector, images: Sequence[int | Path]) -> Iterator[Iterator[Inspection]]:
    """Run the model on images, one after another, with a progress bar and in the theme of the figure."""
    from svipctl.visuals.style import themed

    announce_gamma(inspector.model.gamma)
    with sink.progress("looking") as progress, themed(plan.options.theme.value):

        def results() -> Iterator[Inspection]:
            for done, one in enumerate(inspector.inspect(images), 1):
                progress(done, len(images))
                yield one

        yield results()


def draw_pages(
    plan: ImageFigure,
    inspector: Inspector,
    draw: Callable[[Sequence[Inspection]], Drawing],
    per_page: int,
    *,
    details: Callable[[Inspection], dict[str, Any]] = lambda one: {},
    summary: Callable[[], dict[str, Any]] = dict,
) -> None:
    """Run the model on the images, write the pages, and print the written files.

    Args:
        plan: Plan of `plan_images`.
        inspector: The model.
        draw: Function that draws a page.
        per_page: Number of images per page.
        details: Function that returns more entries of an image for --json; called once with each image.
        summary: Function that returns the last entries of the document; called after the last image.

    """
    from svipctl.visuals.pages import write_pages

    if plan.options.is_one_file:
        per_page = max(per_page, len(plan.images))
    files: list[str] = []
    sink.begin_list({**plan.head, **inspector.model.gamma.document()}, "images")
    with inspected(plan, inspector, plan.images) as inspections:
        for page in write_pages(inspections, plan.file, draw, per_page):
            files.append(str(page.path))
            sink.say(f"{page.path}: {len(page.items)} images")
            for one in page.items:
                sink.item({**item(one), **details(one), "file": files[-1]})
    sink.document({"files": files, **summary()})


def item(one: Inspection) -> dict[str, Any]:
    """Return an image's entry in a document."""
    from numpy import argwhere

    return {
        "image": one.name,
        "class": one.true_class,
        "seen": one.is_seen,
        "answer": one.answer,
        "kept": None if one.kept is None else argwhere(one.kept).tolist(),
        "grid": list(one.grid),
        "auc": one.auc,
    }


def _named(plan: ImageFigure, image: int | Path) -> dict[str, Any]:
    if isinstance(image, Path):
        return {"image": str(image)}
    return {"image": plan.benchmark.images[image], "class": plan.benchmark.classes[plan.benchmark.labels[image]]}
