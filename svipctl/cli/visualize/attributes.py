"""Implement `svipctl visualize attributes`."""

from __future__ import annotations

from svipctl.cli import _completion
from svipctl.cli._command import Dataset, Overrides, command, option, sink
from svipctl.cli.visualize._images import ImageOptions, draw_pages, plan_images
from svipctl.errors import ConfigError
from svipctl.settings import effects, flags

_MOST, _SHOWN = 7, 5  # maps per image, and images per page


@command(*flags.EVALUATION[1:], reads=effects.IMAGES)
def attributes(
    dataset: Dataset,
    *,
    options: ImageOptions,
    overrides: Overrides,
    attribute: list[str] | None = option(
        None, "Attribute to show. Repeatable.", metavar="NAME", autocompletion=_completion.attributes
    ),
    top: int = option(4, "Number of strongest attributes to show per image.", min=0),
    dry_run: bool,
) -> None:
    """Draw localization maps of attributes.

    The attribute head's value on every window (a block of patches) is laid over the image.

    The attributes that count most for the answer are shown, then those of --attribute.

    Examples:
        svipctl visualize attributes toybirds
        svipctl visualize attributes toybirds --attribute has_wing_color::red --top 2
        svipctl visualize attributes cub photo.jpg -o maps.svg

    """
    wanted = list(dict.fromkeys(attribute or []))
    if not 0 < top + len(wanted) <= _MOST:
        raise ConfigError(
            f"--top {top} and {len(wanted)} named attributes are {top + len(wanted)} maps; 1 to {_MOST} fit on a page",
            todo="show the others in another figure",
        )
    plan = plan_images("attributes", dataset, options, overrides, shown=_SHOWN)

    from svipctl.visuals.image_choice import attribute_numbers

    named = attribute_numbers(plan.benchmark, wanted)
    if dry_run:
        plan.show_plan()
        return

    from svipctl.visuals.attributes import PER_PAGE, attribute_sheet, shown_attributes

    inspector = plan.inspector(top + len(named))
    if inspector.model.network.recipe.head == "class-token":
        raise ConfigError(
            f"{plan.run.name} has no localization maps",
            why="its attribute head reads the class token, not the windows (method.head = class-token)",
            todo="choose another --run",
        )
    names, heading = plan.benchmark.attributes, plan.heading("Localization maps", inspector)
    files, _ = draw_pages(
        plan,
        inspector,
        lambda page: attribute_sheet(page, heading, names, strongest=top, named=named),
        PER_PAGE,
        details=lambda one: {
            "attributes": {names[k]: one.extremes(k) for k in shown_attributes(one, names, top, named)}
        },
    )
    sink.document({"files": files})
