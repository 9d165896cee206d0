"""What the figures of images have in common: from the flags to a run, its images and a file, and to what is printed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from svipctl.cli.output import sink
from svipctl.cli.visualize.flags import Split, Theme
from svipctl.cli.visualize.measured import found_run, opened_benchmark
from svipctl.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from svipctl.datasets.benchmark import Benchmark
    from svipctl.datasets.benchmark import Split as DataSplit
    from svipctl.runs.run import Run
    from svipctl.settings.schema import Settings
    from svipctl.visuals.inspection import Inspection, Inspector

_SHOWN = 16
_OF_A_FOLD = {"test": "validation", "seen": "seen validation", "unseen": "unseen validation", "train": "training"}


@dataclass(frozen=True, kw_only=True)
class Flags:
    """As they were given."""

    figure: str
    dataset: str
    images: list[str] | None
    run: str | None
    split: Split
    limit: int | None
    classes: list[str] | None
    theme: Theme
    output: Path | None
    precision: str | None
    gpu: str | None
    data_dir: Path | None
    runs_dir: Path | None
    config: Path | None
    assignments: list[str] | None


@dataclass(frozen=True)
class Plan:
    """What is to be drawn, before any model is loaded."""

    flags: Flags
    run: Run
    settings: Settings
    benchmark: Benchmark
    split: DataSplit
    images: Sequence[int | Path]
    """Numbers of the benchmark's images, or pictures of one's own."""
    file: Path

    @property
    def head(self) -> dict[str, Any]:
        """How every document begins."""
        return {
            "dataset": self.benchmark.name,
            "run": str(self.run.folder),
            "figure": self.flags.figure,
            "split": None if self.flags.images else self.split_name,
            "theme": self.flags.theme.value,
        }

    @property
    def split_name(self) -> str:
        """Whose images, as the run was split."""
        part = self.flags.split.value
        return part if self.split.name == "test" else f"{self.split.name} {_OF_A_FOLD[part]}"

    @property
    def title(self) -> str:
        """What stands above the figure after its subject."""
        whose = "own pictures" if self.flags.images else f"{self.split_name} images"
        return f"{self.benchmark.name}, {whose} · {self.run.name}"


def planned(flags: Flags, *, shown: int | None = _SHOWN) -> Plan:
    """Find the run, the data set and the images, and check that the file can be written.

    Args:
        flags: Of the command.
        shown: Images of a split that are shown unless --limit says otherwise; None for all of them.

    """
    if flags.images and flags.classes:
        raise ConfigError(
            "--class chooses images of the data set, and pictures of your own are named", todo="leave one out"
        )

    run, settings = found_run(
        flags.dataset,
        flags.run,
        config=flags.config,
        assignments=flags.assignments,
        precision=flags.precision,
        gpu=flags.gpu,
        data_dir=flags.data_dir,
        runs_dir=flags.runs_dir,
    )

    from svipctl.inference.image_files import find_pictures
    from svipctl.visuals.image_choice import images_of, spread

    beside_the_runs = flags.images and flags.output is None
    file = output_file(flags.output, run, f"{flags.figure}-own" if beside_the_runs else flags.figure)
    benchmark = opened_benchmark(run, settings)
    split = benchmark.split(run.settings().train.fold)
    images: list[int | Path]
    if flags.images:
        images = list(islice(find_pictures(flags.images), flags.limit))
    else:
        found = images_of(benchmark, split, flags.split.value, flags.classes or ())
        count = None if shown is None else flags.limit or shown
        images = [int(index) for index in (spread(found, count) if count else found)]
    return Plan(flags, run, settings, benchmark, split, images, file)


def output_file(given: Path | None, run: Run, figure: str) -> Path:
    """Where a figure goes: the file, a file in the folder, or a file in the run's folder."""
    from svipctl.visuals.style import check_suffix

    if given is None:
        return run.folder / "figures" / f"{figure}.png"
    if given.is_dir() or not given.suffix:
        return given / f"{figure}.png"
    check_suffix(given)
    return given


def tell(plan: Plan) -> None:
    """What --dry-run says."""
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
    """Look at the images, write the pages, and print what was written.

    Args:
        plan: From `planned`.
        inspector: The model.
        draw: A page.
        per_page: Images on it.
        details: More of an image for --json.
        summary: What the document ends with, asked for last.
        notice: Told of each image as it is looked at.

    """
    from svipctl.signals import listening
    from svipctl.visuals.pages import write_pages
    from svipctl.visuals.style import themed

    files: list[str] = []
    sink.begin_list(plan.head, "images")
    with listening() as stop, sink.progress("looking") as progress, themed(plan.flags.theme.value):

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
    """An image in a document."""
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
