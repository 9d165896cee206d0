"""Declare the options that figures share."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from svipctl.cli import _completion
from svipctl.cli._options import RunName, output


class SplitPart(StrEnum):
    """Images of the data set."""

    test = "test"
    seen = "seen"
    unseen = "unseen"
    train = "train"


class Theme(StrEnum):
    """Colours for paper or for a dark page."""

    light = "light"
    dark = "dark"


Class = Annotated[
    list[str] | None,
    typer.Option(
        "--class",
        metavar="NAME",
        help="Show only images of this class. Repeatable.",
        autocompletion=_completion.classes,
    ),
]


@dataclass(frozen=True, kw_only=True)
class FigureOptions:
    """The options of every figure of a run."""

    run: RunName = None
    theme: Annotated[Theme, typer.Option("--theme", help="Colours: light for paper, dark for a dark page.")] = (
        Theme.light
    )
    output: Annotated[
        str | None,
        output("Output .png or .svg file, or a folder ending in /. (default: figures/ of the run)"),
    ] = None

    @property
    def is_one_file(self) -> bool:
        """True if --output names a file, not a folder."""
        return self.output is not None and not self.output.endswith("/") and not Path(self.output).is_dir()


@dataclass(frozen=True, kw_only=True)
class ImageOptions(FigureOptions):
    """The options of a figure of images."""

    images: Annotated[
        list[str] | None,
        typer.Argument(
            help="Your own images: files, folders, quoted patterns. (default: images of the split)",
            show_default=False,
        ),
    ] = None
    split: Annotated[SplitPart, typer.Option("--split", help="Part of the data set's images.")] = SplitPart.test
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            min=1,
            help="Maximum number of images, spread evenly over the split. (default: one page, or all of your own)",
        ),
    ] = None
    classes: Class = None
