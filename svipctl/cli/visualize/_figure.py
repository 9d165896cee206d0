"""Share code of figures and reports of a run: the run, its data set and evaluation, the file, the document."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from svipctl.cli import _runs
from svipctl.cli._output import sink

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from svipctl.cli._overrides import Overrides
    from svipctl.cli.visualize._options import FigureOptions
    from svipctl.datasets.benchmark import Benchmark
    from svipctl.evaluation.result import ModelEvaluation
    from svipctl.runs.run import Run
    from svipctl.settings.schema import Settings


@dataclass(frozen=True)
class Figure:
    """A figure before any model is loaded."""

    name: str
    options: FigureOptions
    run: Run
    settings: Settings
    file: Path

    @property
    def head(self) -> dict[str, Any]:
        """First entries of the document."""
        return {"run": str(self.run.folder), "figure": self.name, "theme": self.options.theme.value}

    def draw(self, make: Callable[[], Drawing]) -> None:
        """Draw the figure in its theme and write the file."""
        from svipctl.visuals.style import save, themed

        with themed(self.options.theme.value):
            save(make(), self.file)

    def show(self, text: str, dataset: str, **entries: Any) -> None:
        """Print the written file, with more entries of the document."""
        sink.say(text)
        sink.document({"dataset": dataset, **self.head, "files": [str(self.file)], **entries})


def plan_figure(
    name: str, dataset: str, options: FigureOptions, overrides: Overrides, *, file_name: str | None = None
) -> Figure:
    """Select the run of a figure, and check that its file can be written.

    Args:
        name: Name of the figure.
        dataset: The run's data set.
        options: Options of the command.
        overrides: Settings of the command line.
        file_name: Name of the file without its suffix, without --output; the figure's if None.

    """
    run, settings = _runs.select_run(dataset, options.run, overrides)

    from svipctl.visuals.style import check_suffix

    file = run.folder / "figures" / f"{file_name or name}.png"
    if options.output is not None:
        file = Path(options.output)
        if not options.is_one_file:
            file /= f"{name}.png"
        elif not file.suffix:
            file = file.with_name(f"{file.name}.png")
    check_suffix(file)
    return Figure(name, options, run, settings, file)


def open_run_dataset(run: Run, settings: Settings, file: Path | None = None) -> Benchmark:
    """Open the run's data set, and warn about names that the figure in `file` cannot show."""
    benchmark = _runs.open_dataset(settings, allow_partial=run.settings().data.allow_partial)
    if file is not None and file.suffix.lower() == ".png":
        from svipctl.visuals.fonts import undrawable

        if names := undrawable((*benchmark.classes, *benchmark.attributes)):
            sink.warn(
                f"{len(names)} names, such as {names[0]}, have characters that a PNG cannot show on this machine: "
                f"install Noto Sans CJK for Chinese, Japanese and Korean, or write an SVG, which browsers show in any "
                f"script: -o {file.stem}.svg"
            )
    return benchmark


def evaluate(run: Run, benchmark: Benchmark, settings: Settings, *, what: str = "predicting") -> ModelEvaluation:
    """Evaluate a run as `svipctl eval`, including its eval/metrics.json, and print the warnings."""
    from svipctl.evaluation.evaluate import evaluate_subject

    with sink.progress(what) as progress:
        measured = evaluate_subject(run, benchmark, settings, progress)
    for warning in measured.document["warnings"]:
        sink.warn(warning)
    _runs.announce_gamma(measured.model.gamma)
    return measured


def show_plan(run: Run, file: Path, figure: str, settings: Settings) -> None:
    """Print the plan of --dry-run."""
    sink.say(f"{run.name} would be evaluated, and its {figure} written to {file}")
    sink.document(
        {"dry_run": True, "dataset": settings.dataset, "run": str(run.folder), "figure": figure, "files": [str(file)]}
    )
