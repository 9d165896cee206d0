"""The command tree. Commands import what they need when they run, so that help and completion stay instant."""

from __future__ import annotations

from typing import Annotated

import typer

from svipctl.cli import (
    baseline,
    completion,
    config,
    data,
    doctor,
    eval,
    export,
    predict,
    reproduce,
    train,
    visualize,
    w2v,
)
from svipctl.cli.help import use_plain_help
from svipctl.version import __version__

app = typer.Typer(
    name="svipctl",
    help="Attribute-based zero-shot image classification with SVIP (ICCV 2025).\n\n"
    "Start with the built-in benchmark, which needs no download.\n\n"
    "Examples: `svipctl train toybirds`, `svipctl eval toybirds`",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"svipctl {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Options of the program itself."""


app.command("train")(train.train)
app.command("eval")(eval.eval_)
app.command("baseline")(baseline.baseline)
app.command("predict")(predict.predict)
app.command("export")(export.export)
app.command("reproduce")(reproduce.reproduce)
app.add_typer(visualize.app, name="visualize")
app.add_typer(data.app, name="data")
app.add_typer(w2v.app, name="w2v")
app.add_typer(config.app, name="config")
app.command("doctor")(doctor.doctor)
app.command("completion")(completion.completion)
use_plain_help(app)
