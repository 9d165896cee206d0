"""`svipctl visualize attributes`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from svipctl.cli import options
from svipctl.cli.visualize import flags
from svipctl.cli.visualize.looking import Flags, draw_pages, planned, tell
from svipctl.errors import ConfigError

if TYPE_CHECKING:
    from svipctl.visuals.inspection import Inspection

_MOST, _SHOWN = 7, 5  # maps beside an image, and images on a page


def attributes(
    dataset: options.Dataset,
    images: flags.Images = None,
    run: options.RunName = None,
    split: flags.SplitName = flags.Split.test,
    limit: flags.Limit = None,
    classes: flags.Class = None,
    attribute: flags.Attribute = None,
    top: Annotated[int, typer.Option("--top", min=0, help="Attributes that speak most for the answer.")] = 4,
    theme: flags.ThemeName = flags.Theme.light,
    output: flags.Out = None,
    precision: options.Precision = None,
    gpu: options.Gpu = None,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = None,
    config: options.Config = None,
    assignments: options.Set = None,
    dry_run: options.DryRun = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Show where the model sees each attribute: the attribute head on every window, laid over the image.

    Shown are the attributes that speak most for the class the image was named, then those you name.

    Examples: `svipctl visualize attributes toybirds`,
    `svipctl visualize attributes toybirds --attribute has_wing_color::red --top 2`,
    `svipctl visualize attributes cub photo.jpg -o maps.svg`
    """
    given = Flags(
        figure="attributes",
        dataset=dataset,
        images=images,
        run=run,
        split=split,
        limit=limit,
        classes=classes,
        theme=theme,
        output=output,
        precision=precision,
        gpu=gpu,
        data_dir=data_dir,
        runs_dir=runs_dir,
        config=config,
        assignments=assignments,
    )
    wanted = list(dict.fromkeys(attribute or []))
    if not 0 < top + len(wanted) <= _MOST:
        raise ConfigError(
            f"--top {top} and {len(wanted)} named attributes: from 1 to {_MOST} in all fit on a page",
            todo="ask for others in another figure",
        )
    plan = planned(given, shown=_SHOWN)

    from svipctl.visuals.image_choice import attribute_numbers

    named = attribute_numbers(plan.benchmark, wanted)
    if dry_run:
        tell(plan)
        return

    from svipctl.visuals.attributes import PER_PAGE, attribute_sheet, shown_attributes
    from svipctl.visuals.inspection import open_inspector

    inspector = open_inspector(plan.run, plan.benchmark, plan.settings, reasons=top + len(named))
    if inspector.model.network.recipe.head != "windows":
        raise ConfigError(
            f"{plan.run.name} does not say where an attribute is",
            why="its attribute head reads the class token, not the windows (method.head = class-token)",
            todo="choose another --run",
        )
    names = plan.benchmark.attributes

    def details(one: Inspection) -> dict[str, Any]:
        assert one.windows is not None
        maps = {names[column]: one.windows[:, :, column] for column in shown_attributes(one, names, top, named)}
        return {
            "attributes": {
                name: {
                    "lowest": float(values.min()),
                    "highest": float(values.max()),
                    "peak": [int(values.argmax()) // values.shape[1], int(values.argmax()) % values.shape[1]],
                }
                for name, values in maps.items()
            }
        }

    draw_pages(
        plan,
        inspector,
        lambda page: attribute_sheet(
            page, f"Where each attribute is seen: {plan.title}", names, strongest=top, named=named
        ),
        PER_PAGE,
        details=details,
    )
