"""Draw figures of images: select the run, the images and the file, draw the pages, and print the written files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from svipctl.cli._command import Overrides, argument, option, sink
from svipctl.cli._pictures import named_pictures
from svipctl.cli._runs import announce_gamma
from svipctl.cli.visualize._figure import Class, Figure, FigureOptions, open_run_dataset, plan_figure
from svipctl.errors import ConfigError
from svipctl.quoting import shell_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from svipctl.datasets.benchmark import Benchmark
    from svipctl.datasets.benchmark import Split as DataSplit
    from svipctl.visuals.inspection import Inspection, Inspector

_SHOWN = 16
_MOST_IN_A_FILE = 200
"""Maximum number of images in one file of --output; taller figures cannot be opened by many programs."""
_OF_A_FOLD = {"test": "validation", "seen": "seen validation", "unseen": "unseen validation", "train": "training"}


@dataclass(frozen=True, kw_only=True)
class ImageOptions(FigureOptions):
    """The options of a figure of images."""

    images: list[str] | None = argument(
        "Your own images: files, folders, glob patterns in quotes. (default: images of the split)", None
    )
    split: Literal["test", "seen", "unseen", "train"] = option("test", "Part of the data set's images.")
    limit: int | None = option(
        None, "Maximum number of images. (default: as many as fit on a page, or all of your own images)", min=1
    )
    classes: Class = None


@dataclass(frozen=True, kw_only=True)
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
        part = self.options.split
        return part if self.split.name == "test" else f"{self.split.name} {_OF_A_FOLD[part]}"

    @property
    def title(self) -> str:
        """Second part of the figure's title."""
        whose = "your own images" if self.options.images else f"{self.split_name} images"
        return f"{self.benchmark.name}, {whose} · {self.run.name}"

    def show_plan(self) -> None:
        """Print the plan of --dry-run."""
        text = f"{len(self.images)} images of {self.title} would be shown in {self.file}"
        images = [self._entry(image) for image in self.images]
        sink.plan({**self.head, "images": images, "files": [str(self.file)]}, text)

    def _entry(self, image: int | Path) -> dict[str, Any]:
        if isinstance(image, Path):
            return {"image": str(image)}
        return {"image": self.benchmark.images[image], "class": self.benchmark.classes[self.benchmark.labels[image]]}

    def inspector(self, reasons: int = 4) -> Inspector:
        """Load the run's best checkpoint, to inspect images with `reasons` attributes for and against the answer."""
        from svipctl.inference.load import load_run_with
        from svipctl.visuals.inspection import Inspector

        return Inspector(load_run_with(self.run, self.settings), self.benchmark, reasons=reasons)

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

    from svipctl.datasets.benchmark import spread
    from svipctl.visuals.image_choice import images_of

    run, settings = figure.run, figure.settings
    benchmark = open_run_dataset(settings, figure.file)
    split = benchmark.split(run.settings().train.fold)
    images: list[int | Path]
    if options.images:
        images = list(islice(named_pictures(options.images, f"visualize {name} {dataset}"), options.limit))
    else:
        found = images_of(benchmark, split, options.split, options.classes or ())
        count = None if shown is None else options.limit or shown
        images = [int(index) for index in (spread(found, count) if count else found)]
    if options.is_one_file and shown is not None and len(images) > _MOST_IN_A_FILE:
        folder = figure.file.with_suffix("")
        raise ConfigError(
            f"{len(images)} images are too many for one file",
            todo=f"use {shell_words('-o', f'{folder}/')} for a folder of pages, "
            f"or {shell_words('--limit', _MOST_IN_A_FILE)}",
        )
    return ImageFigure(**vars(figure), options=options, benchmark=benchmark, split=split, images=images)


@contextmanager
def inspected(plan: ImageFigure, inspector: Inspector, images: Sequence[int | Path]) -> Iterator[Iterator[Inspection]]:
    """Run the model on images, one after another, with a progress bar and in the theme of the figure."""
    from svipctl.visuals.style import themed

    announce_gamma(inspector.model.gamma, inspector.model.run)
    with sink.progress("inspecting images") as progress, themed(plan.options.theme):
        yield inspector.inspect(images, progress)


def draw_pages(
    plan: ImageFigure,
    inspector: Inspector,
    draw: Callable[[Sequence[Inspection]], Drawing],
    per_page: int,
    *,
    details: Callable[[Inspection], dict[str, Any]] = lambda one: {},
) -> tuple[list[str], list[float]]:
    """Run the model on the images, write the pages, and print the written files.

    Args:
        plan: Plan of `plan_images`.
        inspector: The model.
        draw: Function that draws a page; called once with each image.
        per_page: Number of images per page.
        details: Function that returns more entries of an image for --json.

    Returns:
        The written files, and the AUC of the patch classifier on each image that has one.

    """
    from svipctl.visuals.pages import write_pages

    if plan.options.is_one_file:
        per_page = max(per_page, len(plan.images))
    files: list[str] = []
    aucs: list[float] = []
    sink.begin_list({**plan.head, **inspector.model.gamma.document()}, "images")
    with inspected(plan, inspector, plan.images) as inspections:
        for path, page in write_pages(inspections, plan.file, draw, per_page):
            files.append(str(path))
            aucs += [one.auc for one in page if one.auc is not None]
            sink.say(f"{path}: {len(page)} images")
            for one in page:
                sink.item({**one.document(), **details(one), "file": files[-1]})
    return files, aucs
