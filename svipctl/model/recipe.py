"""Declare the switches that distinguish the published implementation, the paper and the corrected method.

A recipe is a value, never a fork of the code: each field is read at exactly one place of `svipctl.model`.
The values of the three named recipes are data, in `svipctl/settings/presets/recipes/`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, model_validator

ScoreSource = Literal["rollout", "paper-rollout", "attention", "cosine"]
WindowChoice = Literal["selected", "similar", "all"]


class Recipe(BaseModel):
    """Switches of the network and of its loss. Defaults are the corrected recipe, `svipctl`.

    "Published" below is the authors' implementation, "paper" the equations of arXiv 2503.10252.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    keep: float = Field(0.8, gt=0)
    """M, the number of related windows: a count if 1 or more, else a share of all windows (published: 40 or 45 of
    49).
    """
    score_source: ScoreSource = "rollout"
    """Score that ranks the windows of the source pass: attention rollout, the paper's unnormalized product, the last
    block's class-token attention, or similarity to the mean window feature.
    """
    score_pooling: Literal["windows", "runs"] = "windows"
    """Patch scores to window scores: mean over each window, or (published) over runs of raster-consecutive patches."""
    classifier_targets: Literal["hard", "soft"] = "hard"
    """Targets of the patch classifier: 0/1 from the top M, or (paper) one minus the score divided by its maximum."""
    passes: Literal["both", "source"] = "both"
    """`source` leaves out the second pass and the selection: a plain Vision Transformer with a linear head, fine-tuned
    end to end (the paper's "ViT baseline")."""
    head: Literal["windows", "class-token", "attribute-attention"] = "windows"
    """Input of the attribute head: window features, the class token (only without the second pass), or window
    features that each attribute attends to with its own weights (DAZLE).
    """
    attention_queries: Literal["free", "words"] = "free"
    """Queries of the attribute attention: learned, or the attributes' word vectors, as in DAZLE."""
    attention_rank: int = Field(64, gt=0)
    """Width of learned queries."""
    fusion: Literal["none", "ridge", "eszsl"] = "none"
    """Closed-form map from mean patch tokens to attributes, fitted after training, whose predictions are added to the
    head's: ridge regression or ESZSL."""
    fusion_weight: float = Field(1.0, ge=0)
    """Weight of the closed form's prediction; the head's weight is 1, and both predictions have length 1."""
    fusion_penalties: tuple[PositiveFloat, PositiveFloat] = (1.0, 10.0)
    """Penalties of the closed form on tokens and on class attributes, relative to the mean eigenvalue of each."""
    prototype_weight: float = Field(0.0, ge=0)
    """Weight of the prediction by class prototypes, a ridge regression from class attributes to mean patch tokens."""
    prototype_penalty: PositiveFloat = 1.0
    """Penalty of the prototype regression, relative to the mean eigenvalue of the class attributes."""
    selection: Literal["learned", "random", "centre", "object"] = "learned"
    """Selection of the related windows, in training and at inference: the method's, or a control: random, nearest to
    the image centre, or by the object's mask or box. keep = 1e9 selects all windows.
    """
    training_selection: Literal["scores", "classifier"] = "scores"
    """Selection of the related windows in training: by the source pass's scores, or (paper) by the patch classifier."""
    source_windows: WindowChoice = "selected"
    """Windows that the attribute head pools in the source pass."""
    contextualized_windows: WindowChoice = "selected"
    """Windows that the attribute head pools in the contextualized pass in training; `similar` (published) is the top
    M by dot product with the pass's own mean window feature.
    """
    inference_windows: WindowChoice = "selected"
    """Windows that the attribute head pools at inference (published: all)."""
    pooling: Literal["mean", "max"] = "mean"
    """Pooling of window predictions into one attribute vector (paper: max)."""
    context: Literal["words", "free", "none"] = "words"
    """Vector that is added to unrelated windows: a map of the attributes' word vectors, one learned vector, or
    nothing.
    """
    context_layout: Literal["patch-major", "channel-major"] = "patch-major"
    """Order in which the (patches x width) context is flattened; channel-major (published) scrambles the patches."""

    class_attributes: Literal["l2", "centred", "whitened"] = "l2"
    """Class attributes in the class scores: rows of length 1, these minus the mean of the seen classes, or these
    whitened by the covariance of the seen classes.
    """
    whitening_shrinkage: float = Field(0.1, gt=0)
    """Share of the covariance's largest eigenvalue that is added to all of them."""
    class_score: Literal["cosine", "dot"] = "cosine"
    """Similarity of predicted and class attributes; `dot` (published) does not normalise predictions."""
    class_norm_epsilon: float = Field(0.0, ge=0)
    """Constant that is added to the norm by which class attributes are divided (published: 1e-5)."""
    scale: float = Field(5.0, gt=0)
    """Factor on the class scores inside the cross-entropy."""
    source_weight: float = Field(1.0, ge=0)
    """Weight of the source pass's cross-entropy."""
    contextualized_weight: float = Field(1.0, ge=0)
    """Weight of the contextualized pass's cross-entropy."""
    consistency: Literal["jensen-shannon", "kl", "none"] = "jensen-shannon"
    """Agreement of the class distributions of both passes (published: KL, paper: Jensen-Shannon)."""
    consistency_weight: float = Field(1.0, ge=0)
    """Weight of the consistency term."""
    consistency_temperature: float = Field(1.0, gt=0)
    """T: scores are divided by T, the term multiplied by T squared (published: 20)."""
    consistency_mean: Literal["batch", "batch-and-classes"] = "batch"
    """Average of the consistency term (published: also over classes, which makes it vanish)."""
    patch_weight: float = Field(1.0, ge=0)
    """Weight of the patch classifier's binary cross-entropy."""
    decorrelation_weight: float = Field(0.0, ge=0)
    """Weight of the attribute-group norm (published: 0.3 or 1.0; paper: absent)."""
    decorrelation_squared: bool = False
    """Apply that weight twice, as the published code does."""

    @model_validator(mode="after")
    def _head_fits(self) -> Recipe:
        if self.head == "class-token" and self.passes != "source":
            raise ValueError("method.head = 'class-token' has no windows to select: it needs method.passes = 'source'")
        if self.head == "attribute-attention" and self.pooling != "mean":
            raise ValueError("method.head = 'attribute-attention' pools by its attention: set method.pooling = 'mean'")
        return self

    @property
    def has_closed_form(self) -> bool:
        """True if a closed form predicts attributes in addition to the head."""
        return self.fusion != "none" or self.prototype_weight > 0

    @property
    def needs_words(self) -> bool:
        """True if the network is built with the attributes' word vectors."""
        return self.context == "words" or (self.head == "attribute-attention" and self.attention_queries == "words")

    def windows_kept(self, windows: int) -> int:
        """Return M for a grid with the given number of windows, at least 1 and at most all."""
        kept = round(self.keep * windows) if self.keep < 1 else round(self.keep)
        return max(1, min(kept, windows))
