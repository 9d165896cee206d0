"""Share code of figures and reports of a run: options, the run, its data set and evaluation, the file, the document."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from svipctl.cli import _completion, _runs
from svipctl.cli._command import Overrides, RunName, option, output_option, sink

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from svipctl.datasets.benchmark import Benchmark
    from svipctl.evaluation.result import ModelEvaluation
    from svipctl.runs.run import Run
    from svipctl.settings.schema import Settings


Class = Annotated[
    list[str] | None,
    typer.Option("--class", help="Class to show. Repeatable.", metavar="NAME", autocompletion=_completion.classes),
]


@dataclass(frozen=True, kw_only=True)
class FigureOptions:
    """The options of every figure of a run."""

    run: RunName = None
    theme: Literal["light", "dark"] = option("light", "Colours: light for paper, dark for a dark page.")
    output: str | None = output_option(
        "Output .png or .svg file, or a folder ending in /. (default: figures/ of the run)"
    )

    @property
    def is_one_file(self) -> bool:
        """True if --output names a file, not a folder."""
        return self.output is not None and not self.output.endswith("/") and not Path(self.output).is_dir()


@dataclass(frozen=True)
class Figure:
    """A figure or report before any model is loaded."""

    name: str
    run: Run
    settings: Settings
    file: Path
    theme: Literal["light", "dark"] | None = None
    """`light` or `dark`; None for a report, which has both."""

    @property
    def head(self) -> dict[str, Any]:
        """First entries of the document."""
        head = {"run": str(self.run.folder), "figure": self.name}
        return head if self.theme is None else head | {"theme": self.theme}

    def show_plan(self) -> None:
        """Print the plan of --dry-run."""
        plan = {"dataset": self.settings.dataset, "run": str(self.run.folder), "figure": self.name}
        text = f"{self.run.name} would be evaluated, and its {self.name} written to {self.file}"
        sink.plan({**plan, "files": [str(self.file)]}, text)

    def draw(self, make: Callable[[], Drawing]) -> None:
        """Draw the figure in its theme and write the file."""
        from svipctl.visuals.style import save, themed

        with themed(self.theme or "light"):
            save(make(), self.file)

    def show(self, text: str, dataset: str, **entries: Any) -> None:
        """Print the written file, with more entries of the document."""
        sink.result(text, {"dataset": dataset, **self.head, "files": [str(self.file)], **entries})


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

    from svipctl.files import check_output
    from svipctl.visuals.style import check_suffix

    file = run.folder / "figures" / f"{file_name or name}.png"
    if options.output is not None:
        file = Path(options.output)
        if not options.is_one_file:
            file /= f"{name}.png"
        elif not file.suffix:
            file = file.with_name(f"{file.name}.png")
    check_suffix(file)
    check_output(file)
    return Figure(name, run, settings, file, options.theme)


def open_run_dataset(settings: Settings, file: Path | None = None) -> Benchmark:
    """Open the run's data set, and warn about names that the figure in `file` cannot show."""
    benchmark = _runs.open_dataset(settings)
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
    sink.warn_each(measured.document["warnings"])
    _runs.announce_gamma(measured.model.gamma, measured.model.run)
    return measured
