"""The arguments and flags that the figures of images share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from svipctl.cli import complete


class Split(StrEnum):
    """Which images of the data set."""

    test = "test"
    seen = "seen"
    unseen = "unseen"
    train = "train"


class Theme(StrEnum):
    """For paper or for a dark page."""

    light = "light"
    dark = "dark"


Images = Annotated[
    list[str] | None,
    typer.Argument(
        help="Pictures of your own: files, folders, patterns in quotes. (default: images of the split)",
        show_default=False,
    ),
]
SplitName = Annotated[
    Split, typer.Option("--split", help="Whose images: those the run is tested on, or those it was trained on.")
]
Limit = Annotated[
    int | None,
    typer.Option(
        "--limit", min=1, help="Images at most, spread evenly over the split. (default: one page; own pictures: all)"
    ),
]
Class = Annotated[
    list[str] | None,
    typer.Option(
        "--class", metavar="NAME", help="Only images of this class. Repeatable.", autocompletion=complete.classes
    ),
]
Attribute = Annotated[
    list[str] | None,
    typer.Option(
        "--attribute",
        metavar="NAME",
        help="Show this attribute. Repeatable.",
        autocompletion=complete.attributes,
    ),
]
ThemeName = Annotated[Theme, typer.Option("--theme", help="light for paper, dark for a dark page.")]
Out = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        help="A .png or .svg file, or a folder. (default: the folder figures of the run)",
        show_default=False,
    ),
]
