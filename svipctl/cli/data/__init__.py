"""`svipctl data`: the benchmarks on this machine."""

from __future__ import annotations

import typer

from svipctl.cli.data import fetch, import_, pack, status

app = typer.Typer(help="Benchmarks on this machine.", no_args_is_help=True)
app.command("fetch")(fetch.fetch)
app.command("status")(status.status)
app.command("pack")(pack.pack)
app.command("import")(import_.import_)
