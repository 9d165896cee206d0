"""Implement `svipctl visualize attributes`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from svipctl.cli import _completion, _options
from svipctl.cli._command import command
from svipctl.cli._overrides import Overrides
from svipctl.cli.visualize._images import draw_pages, plan_images, show_plan
from svipctl.cli.visualize._options import ImageOptions
from svipctl.errors import ConfigError
from svipctl.settings import flags

if TYPE_CHECKING:
    from svipctl.visuals.inspection import Inspection

_MOST, _SHOWN = 7, 5  # maps per image, and images per page


@command(*flags.EVALUATION[1:], dry_run=True, reads="IMAGES")
def attributes(
    dataset: _options.Dataset,
    *,
    options: ImageOptions,
    overrides: Overrides,
    attribute: Annotated[
        list[str] | None,
        typer.Option(
            "--attribute",
            metavar="NAME",
            help="Attribute to show. Repeatable.",
            autocompletion=_completion.attributes,
        ),
    ] = None,
    top: Annotated[int, typer.Option("--top", min=0, help="Number of strongest attributes to show per image.")] = 4,
    dry_run: bool,
) -> None:
    """Draw localization maps of attributes.

    The attribute head's value on every window is laid over the image.

    The attributes that count most for the answer are shown, then those of --attribute.

    Examples:
        svipctl visualize attributes toybirds
        svipctl visualize attributes toybirds --attribute has_wing_color::red --top 2
        svipctl visualize attributes cub photo.jpg -o maps.svg

    """
    wanted = list(dict.fromkeys(attribute or []))
    if not 0 < top + len(wanted) <= _MOST:
        raise ConfigError(
            f"--top {top} and {len(wanted)} named attributes: from 1 to {_MOST} in all fit on a page",
            todo="show the others in another figure",
        )
    plan = plan_images("attributes", dataset, options, overrides, shown=_SHOWN)

    from svipctl.visuals.image_choice import attribute_numbers

    named = attribute_numbers(plan.benchmark, wanted)
    if dry_run:
        show_plan(plan)
        return

    from svipctl.visuals.attributes import PER_PAGE, attribute_sheet, shown_attributes
    from svipctl.visuals.inspection import open_inspector

    inspector = open_inspector(plan.run, plan.benchmark, plan.settings, reasons=top + len(named))
    if inspector.model.network.recipe.head == "class-token":
        raise ConfigError(
            f"{plan.run.name} has no localization maps",
            why="its attribute head reads the class token, not the windows (method.head = class-token)",
            todo="choose another --run",
        )
    names = plan.benchmark.attributes

    def details(one: Inspection) -> dict[str, Any]:
        return {
            "attributes": {names[column]: one.extremes(column) for column in shown_attributes(one, names, top, named)}
        }

    draw_pages(
        plan,
        inspector,
        lambda page: attribute_sheet(
            page, plan.heading("Localization maps", inspector), names, strongest=top, named=named
        ),
        PER_PAGE,
        details=details,
    )
