"""Validate the arguments of timm's constructor that settings and checkpoints may give: a closed list with ranges.

timm's constructor takes more, among them names of files that it opens and loads (`checkpoint_path`, `pretrained_cfg`)
and classes. None of those is an argument here, so a checkpoint from elsewhere can name no file, and numbers are
bounded before anything is built from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError

from svipctl.errors import ConfigError, misfits

Side = Annotated[int, Field(strict=True, ge=1, le=4096)]
Sides = Side | tuple[Side, Side]
Count = Annotated[int, Field(strict=True, ge=0, le=128)]
Rate = Annotated[float, Field(strict=True, ge=0, le=1)]


class BackboneArguments(BaseModel):
    """Arguments of a Vision Transformer; omitted ones keep the model's own values."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    img_size: Sides | None = None
    patch_size: Sides | None = None
    stride: Literal[16, 32] | None = None
    """Stride of the stem of `lite`."""
    embed_dim: Side | None = None
    depth: Count | None = None
    num_heads: Annotated[Count, Field(ge=1)] | None = None
    mlp_ratio: Annotated[float, Field(strict=True, gt=0, le=16)] | None = None
    reg_tokens: Count | None = None
    init_values: Annotated[float, Field(strict=True, ge=0, le=1)] | None = None
    qkv_bias: StrictBool | None = None
    qk_norm: StrictBool | None = None
    scale_attn_norm: StrictBool | None = None
    scale_mlp_norm: StrictBool | None = None
    proj_bias: StrictBool | None = None
    class_token: StrictBool | None = None
    pos_embed: Literal["", "none", "learn"] | None = None
    no_embed_class: StrictBool | None = None
    pre_norm: StrictBool | None = None
    final_norm: StrictBool | None = None
    fc_norm: StrictBool | None = None
    global_pool: Literal["", "avg", "token"] | None = None
    dynamic_img_size: StrictBool | None = None
    dynamic_img_pad: StrictBool | None = None
    drop_rate: Rate | None = None
    pos_drop_rate: Rate | None = None
    patch_drop_rate: Rate | None = None
    proj_drop_rate: Rate | None = None
    attn_drop_rate: Rate | None = None
    drop_path_rate: Rate | None = None
    weight_init: Literal["", "skip", "reset", "jax", "jax_nlhb", "moco"] | None = None
    fix_init: StrictBool | None = None


def checked_arguments(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Validate the arguments and return them as timm takes them.

    Args:
        name: Name of the backbone, for the error.
        arguments: Arguments from settings or from a checkpoint.

    Raises:
        ConfigError: An argument is not on the list, or has a wrong type or value.

    """
    try:
        return BackboneArguments.model_validate(dict(arguments)).model_dump(exclude_unset=True)
    except ValidationError as error:
        raise ConfigError(
            f"timm cannot build {name!r} with model.backbone_args",
            why=misfits(error),
            todo=f"arguments that it takes: {', '.join(BackboneArguments.model_fields)}",
        ) from error
