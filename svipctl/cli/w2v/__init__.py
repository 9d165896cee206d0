"""`svipctl w2v`: word vectors of the attributes."""

from __future__ import annotations

import typer

from svipctl.cli.w2v import build, check

app = typer.Typer(help="Word vectors of the attributes.", no_args_is_help=True)
app.command("build")(build.build)
app.command("check")(check.check)
