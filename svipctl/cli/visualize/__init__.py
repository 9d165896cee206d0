"""`svipctl visualize`: figures of a run, and of what its model makes of images."""

from __future__ import annotations

import typer

from svipctl.cli.visualize import (
    attention,
    attributes,
    compare,
    confusion,
    curves,
    embedding,
    patches,
    report,
    sheet,
)

app = typer.Typer(help="Figures of a run, and of what its model sees.", no_args_is_help=True)
app.command("patches")(patches.patches)
app.command("attributes")(attributes.attributes)
app.command("attention")(attention.attention)
app.command("sheet")(sheet.sheet)
app.command("curves")(curves.curves)
app.command("embedding")(embedding.embedding)
app.command("confusion")(confusion.confusion)
app.command("report")(report.report)
app.command("compare")(compare.compare)
