"""The flags that have the same name and meaning in every command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from svipctl.cli import complete
from svipctl.cli.output import sink

SETTINGS, OUTPUT = "Configuration", "Output"

Dataset = Annotated[
    str,
    typer.Argument(
        help="cub, awa2, sun, toybirds, or a folder of your own.", show_default=False, autocompletion=complete.datasets
    ),
]
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Where data sets live. (default: data)", rich_help_panel=SETTINGS)
]
RunsDir = Annotated[
    Path | None, typer.Option("--runs-dir", help="Where runs are written. (default: runs)", rich_help_panel=SETTINGS)
]
RunName = Annotated[
    str | None,
    typer.Option(
        "--run", help="Name or folder of a run. (default: the newest finished one)", autocompletion=complete.runs
    ),
]
Gpu = Annotated[
    str | None,
    typer.Option(
        "--gpu", help="auto, cpu, the index of a GPU, or several: 0,1,2,3. (default: auto)", rich_help_panel=SETTINGS
    ),
]
Precision = Annotated[
    str | None,
    typer.Option(
        "--precision",
        help="auto (bf16 where the hardware has it), fp32 or bf16.",
        rich_help_panel=SETTINGS,
        autocompletion=complete.precisions,
    ),
]
Backbone = Annotated[
    str | None,
    typer.Option("--backbone", help="lite, vit_base, deit_base, vit_small, vit_tiny, vit_toy, or a timm name."),
]
Weights = Annotated[str | None, typer.Option("--weights", help="Backbone weights: pretrained, none, or a file.")]
Epochs = Annotated[int | None, typer.Option("--epochs", help="Epochs, warm-up included.")]
LearningRate = Annotated[float | None, typer.Option("--lr", help="Learning rate after warm-up.")]
TrainBatchSize = Annotated[
    str | None,
    typer.Option(
        "--batch-size",
        metavar="N|auto",
        help="Images a step; auto keeps the preset's and computes it in as few parts as fit into memory.",
        rich_help_panel=SETTINGS,
    ),
]
BatchSize = Annotated[int | None, typer.Option("--batch-size", help="Images a step.", rich_help_panel=SETTINGS)]
Config = Annotated[
    Path | None, typer.Option("--config", help="A TOML file of settings, above svipctl.toml.", rich_help_panel=SETTINGS)
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Any setting, for instance optim.lr=1e-4. Repeatable.",
        rich_help_panel=SETTINGS,
    ),
]
Recipe = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        help="svipctl (corrected), reference (as published) or paper.",
        rich_help_panel=SETTINGS,
        autocompletion=complete.recipes,
    ),
]
Offline = Annotated[
    bool | None, typer.Option("--offline", help="Forbid every network access.", rich_help_panel=SETTINGS)
]
Json = Annotated[
    bool,
    typer.Option(
        "--json", help="One JSON document on stdout.", rich_help_panel=OUTPUT, callback=sink.set_json, is_eager=True
    ),
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet", help="No progress and no remarks.", rich_help_panel=OUTPUT, callback=sink.set_quiet, is_eager=True
    ),
]
Debug = Annotated[
    bool,
    typer.Option(
        "--debug",
        help="Show the traceback of an error.",
        rich_help_panel=OUTPUT,
        callback=sink.set_debug,
        is_eager=True,
    ),
]
AllowPartial = Annotated[
    bool | None,
    typer.Option("--allow-partial", help="Use a benchmark although images of it are missing, without them."),
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Say what would happen, and what it needs; do nothing.", rich_help_panel=OUTPUT),
]
