"""SVIP: semantically contextualized visual patches for zero-shot learning (Chen et al., ICCV 2025)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self, cast

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from svipctl.device import full_precision, no_autocast
from svipctl.errors import ConfigError
from svipctl.model.attribute_attention import AttributeAttention
from svipctl.model.backbone import (
    RunBlock,
    embed_patches,
    encode,
    grid_of,
    has_class_token,
    recomputed,
    run_block,
    run_block_keeping_attention,
    stem_of,
)
from svipctl.model.class_scorer import ClassScorer
from svipctl.model.closed_form import ClosedForm
from svipctl.model.contextualization import FreeContext, NoContext, WordContext
from svipctl.model.losses import TrainingOutput
from svipctl.model.patch_classifier import HIDDEN, PatchClassifier
from svipctl.model.recipe import Recipe, WindowChoice
from svipctl.model.rollout import (
    AttentionInputs,
    last_attention_scores,
    layer_attention,
    paper_rollout_scores,
    rollout_scores,
    similarity_scores,
)
from svipctl.model.selection_controls import centre_scores, object_scores, random_scores
from svipctl.model.windows import WindowGrid, top_mask

Checkpointing = Literal["none", "mlp", "blocks"]

_PATCH_SCORES = {
    "rollout": rollout_scores,
    "paper-rollout": paper_rollout_scores,
    "attention": last_attention_scores,
}


@dataclass(frozen=True)
class Prediction:
    """Output of inference for a batch of B images."""

    attributes: Tensor
    """(B, K) predicted attribute vectors."""
    unrelated: Tensor
    """(B, windows) probability that the window is semantically unrelated."""
    windows: Tensor
    """(B, windows, K) the attribute head on each window, before pooling."""
    related: Tensor
    """bool (B, windows), the M related windows, which were not contextualized."""
    tokens: Tensor
    """float32 (B, D), the mean patch token, input of `method.fusion`."""


class SVIP(nn.Module):
    """Vision Transformer, patch classifier, contextualization and attribute head (method section 2)."""

    def __init__(
        self,
        backbone: VisionTransformer,
        attributes: int,
        recipe: Recipe,
        *,
        word_vectors: Tensor | None = None,
        window: int = 2,
        hidden: int = HIDDEN,
    ) -> None:
        """Build the heads around a backbone.

        Args:
            backbone: Backbone from `create_backbone`.
            attributes: Number of attributes, K.
            recipe: Switches of the method.
            word_vectors: (K, words), needed when `recipe.needs_words`.
            window: Side of a window in patches.
            hidden: Hidden width of the patch classifier.

        """
        super().__init__()
        self.recipe = recipe
        self.grid = WindowGrid(*grid_of(backbone), window)
        self.keep = recipe.windows_kept(self.grid.windows)
        width = backbone.embed_dim * self.grid.patches_per_window
        self.backbone = backbone
        self._run_block: RunBlock = run_block
        self.is_compiled = False
        if recipe.head == "class-token" and not has_class_token(backbone):
            raise ConfigError(
                "the backbone has no class token", todo="--set method.head=windows, or another --backbone"
            )
        if not backbone.blocks and recipe.passes == "both" and recipe.score_source != "cosine":
            raise ConfigError(
                "a backbone without blocks has no attention for the patch selection",
                todo="--set method.passes=source, or --set method.score_source=cosine",
            )
        if recipe.needs_words and (word_vectors is None or len(word_vectors) != attributes):
            raise ConfigError(
                f"the recipe needs a word vector for each of the {attributes} attributes",
                why="none were given" if word_vectors is None else f"there are {len(word_vectors)}",
                todo="build them with `svipctl w2v build`, or train without words: --set method.context=free",
            )
        self.attribute_head: nn.Linear | AttributeAttention
        if recipe.head == "attribute-attention":
            words = word_vectors if recipe.attention_queries == "words" else None
            self.attribute_head = AttributeAttention(width, attributes, rank=recipe.attention_rank, words=words)
        else:
            self.attribute_head = nn.Linear(width if recipe.head == "windows" else backbone.embed_dim, attributes)
        self.patch_classifier = PatchClassifier(width, hidden)
        self.context: WordContext | FreeContext | NoContext
        if recipe.context == "words":
            assert word_vectors is not None
            self.context = WordContext(
                word_vectors, backbone.embed_dim, self.grid.patches_per_window, recipe.context_layout
            )
        else:
            self.context = FreeContext(width) if recipe.context == "free" else NoContext(width)
        self.scorer = ClassScorer(attributes, recipe)
        self.closed_form = ClosedForm(backbone.embed_dim, attributes, recipe) if recipe.has_closed_form else None

    def run_blocks(
        self, *, compiled: bool = False, checkpointing: Checkpointing = "none", backend: str = "inductor"
    ) -> None:
        """Choose how the blocks run; their results stay the same.

        Args:
            compiled: Use torch.compile: one block is compiled and used for all of them, in both passes.
            checkpointing: Activations that are recomputed in the backward pass instead of kept: none, each block's MLP,
                or all of each block but its input.
            backend: Backend of torch.compile.

        """
        self.is_compiled = compiled
        run: RunBlock = run_block_keeping_attention if checkpointing == "mlp" else run_block
        if compiled:
            run = torch.compile(run, backend=backend)
        self._run_block = recomputed(run) if checkpointing == "blocks" else run

    def freeze_stem(self) -> None:
        """Train everything but the hybrid's convolutional stem.

        Raises:
            ConfigError: The backbone has no stem.

        """
        stem = stem_of(self.backbone)
        if stem is None:
            raise ConfigError(
                "the backbone has no convolutional stem to freeze",
                todo="use --set model.stem=train, or a backbone with a stem, such as --backbone lite",
            )
        stem.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """Set the training mode as in torch, except that a convolutional stem keeps the batch statistics of its
        pretraining.

        So a batch computed in parts gives what the whole batch would.
        """
        super().train(mode)
        stem = stem_of(self.backbone)
        if stem is not None:
            stem.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Return predicted attributes (B, K) of images (B, 3, H, W) in one pass (method section 2, last line).

        Here and below a hybrid also accepts its stem's feature maps instead of images, see `embed_patches`.
        """
        return self.predict(images).attributes

    def predict(self, images: Tensor, *, coverage: Tensor | None = None) -> Prediction:
        """Predict: patch classifier, contextualization of the unrelated windows, blocks, attribute head, pooling.

        Args:
            images: (B, 3, H, W).
            coverage: (B, windows) share of each window that shows the object, for `selection = object`.

        """
        patches = embed_patches(self.backbone, images)
        logits = self.patch_classifier.logits(self.grid.group(patches))
        choice = None
        if self.recipe.passes == "source":
            features, tokens = self._read_source(patches)
            windows = self._head(features, None).expand(-1, self.grid.windows, -1)
            related = torch.ones_like(logits, dtype=torch.bool)
        else:
            related = self._related(self._selecting(-logits, images, coverage))
            tokens, _ = self._encode(self.contextualize(patches, related), keep_attention=False)
            features = self.grid.group(tokens)
            choice = self._choose(self.recipe.inference_windows, related, features)
            windows = self._head(features, choice)
        attributes, mean_token = self._pool(windows, choice), full_precision(tokens).mean(dim=1)
        if self.closed_form is not None:
            with no_autocast(images):
                attributes = self.closed_form(attributes, mean_token)
        return Prediction(attributes, logits.sigmoid(), windows, related, mean_token)

    def training_pass(
        self, images: Tensor, *, frozen_backbone: bool = False, coverage: Tensor | None = None
    ) -> TrainingOutput:
        """Run the source pass, the supervision of the patch classifier and the contextualized pass (method section 2,
        steps 1-7).

        Args:
            images: (B, 3, H, W).
            frozen_backbone: Run the blocks without gradient; only the head and the patch classifier get one.
            coverage: As in `predict`; or for `selection = random` scores that are already drawn.

        """
        if self.recipe.passes == "source":
            return self._source_pass(images, frozen_backbone=frozen_backbone)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen_backbone):
            patches = embed_patches(self.backbone, images)
            source_tokens, attention = self._encode(patches)
        source = self.grid.group(source_tokens)
        logits = self.patch_classifier.logits(self.grid.group(patches))
        scores = self._window_scores(attention, source)
        del attention  # if the blocks are recomputed, nothing else keeps it
        learned = -logits if self.recipe.training_selection == "classifier" else scores
        related = self._related(self._selecting(learned, images, coverage))

        with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen_backbone):
            tokens, _ = self._encode(self.contextualize(patches, related), keep_attention=False)
        contextualized = self.grid.group(tokens)
        return TrainingOutput(
            source_attributes=self._pooled_head(source, self.recipe.source_windows, related),
            contextualized_attributes=self._pooled_head(contextualized, self.recipe.contextualized_windows, related),
            patch_logits=logits,
            patch_targets=self.patch_targets(scores).to(logits.dtype),
        )

    @torch.no_grad()
    def source_scores(self, images: Tensor) -> Tensor:
        """Return the window scores of the source pass, which supervise the patch classifier: (B, windows), high is
        related.
        """
        source_tokens, attention = self._encode(embed_patches(self.backbone, images))
        return self._window_scores(attention, self.grid.group(source_tokens))

    @torch.no_grad()
    def source_attention(self, images: Tensor) -> tuple[Tensor | None, Tensor]:
        """Return the source pass's window scores, as `source_scores`, and its attention on each patch (B, blocks,
        patches).

        A backbone without blocks has no attention, and no scores that come from it.
        """
        source_tokens, attention = self._encode(embed_patches(self.backbone, images))
        if not self.backbone.blocks:
            similar = self.recipe.score_source == "cosine"
            scores = self._window_scores(attention, self.grid.group(source_tokens)) if similar else None
            return scores, images.new_zeros(len(images), 0, self.grid.rows * self.grid.columns)
        with no_autocast(images):
            layers = layer_attention(
                attention, prefix=self.backbone.num_prefix_tokens, class_token=has_class_token(self.backbone)
            )
        return self._window_scores(attention, self.grid.group(source_tokens)), layers

    def contextualize(self, patches: Tensor, related: Tensor) -> Tensor:
        """Add e to every window that is not related: (B, patches, D), (B, windows) -> (B, patches, D)."""
        unrelated = (~related).unsqueeze(-1)
        added: Tensor = self.context() * unrelated
        return patches + self.grid.ungroup(added).to(patches.dtype)

    def patch_targets(self, scores: Tensor) -> Tensor:
        """Return the targets of the patch classifier from window scores (B, windows): 1 is unrelated."""
        if self.recipe.classifier_targets == "soft":
            largest = scores.amax(dim=-1, keepdim=True).clamp_min(torch.finfo(scores.dtype).tiny)
            return (1 - scores / largest).clamp(0, 1)
        return (~top_mask(scores, self.keep)).to(scores.dtype)

    def head_parameters(self) -> list[nn.Parameter]:
        """Return all parameters outside the backbone, which warm-up trains."""
        return [p for name, p in self.named_parameters() if not name.startswith("backbone.")]

    def _source_pass(self, images: Tensor, *, frozen_backbone: bool) -> TrainingOutput:
        """Run the only pass of `passes = source`; without a selection the patch classifier learns nothing."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen_backbone):
            patches = embed_patches(self.backbone, images)
            features, _ = self._read_source(patches)
        attributes = self._pool(self._head(features, None), None)
        nothing = torch.zeros(len(images), self.grid.windows, device=images.device)
        return TrainingOutput(attributes, attributes, nothing, nothing)

    def _read_source(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Return the head's input from the source pass, and its patch tokens (B, patches, D).

        The head reads window features, or the class token as a single window whose result applies to every window.
        """
        tokens, _ = encode(self.backbone, patches, keep_attention=False, keep_prefix=True, run=self._run_block)
        patch_tokens = tokens[:, self.backbone.num_prefix_tokens :]
        return (tokens[:, :1] if self.recipe.head == "class-token" else self.grid.group(patch_tokens)), patch_tokens

    def _head(self, features: Tensor, chosen: Tensor | None) -> Tensor:
        """Return the attribute head on each window (B, windows, K); attention is among the chosen windows."""
        if isinstance(self.attribute_head, AttributeAttention):
            return cast(Tensor, self.attribute_head(features, chosen))
        return cast(Tensor, self.attribute_head(features))

    def _selecting(self, learned: Tensor, images: Tensor, coverage: Tensor | None) -> Tensor:
        """Return the scores (B, windows) whose top M are the related windows: the method's own, or a control's."""
        if self.recipe.selection == "random":
            if coverage is not None:
                return coverage.to(images.device)
            return random_scores(images, self.grid.windows, training=self.training)
        if self.recipe.selection == "centre":
            return centre_scores(self.grid, images)
        if self.recipe.selection == "object":
            if coverage is None:
                raise ConfigError(
                    "method.selection = object needs the location of the object",
                    why="only `train` and `eval` on a data set with masks or boxes provide it",
                )
            return object_scores(coverage.to(images.device), self.grid)
        return learned

    def _encode(self, patches: Tensor, *, keep_attention: bool = True) -> tuple[Tensor, list[AttentionInputs]]:
        return encode(self.backbone, patches, keep_attention=keep_attention, run=self._run_block)

    def _window_scores(self, attention: list[AttentionInputs], source: Tensor) -> Tensor:
        with no_autocast(source):
            return self._scores_in_full_precision(attention, source)

    def _scores_in_full_precision(self, attention: list[AttentionInputs], source: Tensor) -> Tensor:
        if self.recipe.score_source == "cosine":
            return similarity_scores(source)
        patch_scores = _PATCH_SCORES[self.recipe.score_source](
            attention, prefix=self.backbone.num_prefix_tokens, class_token=has_class_token(self.backbone)
        )
        if self.recipe.score_pooling == "runs":
            return self.grid.average_runs(patch_scores)
        return self.grid.average(patch_scores)

    def _related(self, scores: Tensor) -> Tensor:
        return top_mask(scores.detach(), self.keep)

    def _pooled_head(self, features: Tensor, choice: WindowChoice, related: Tensor) -> Tensor:
        chosen = self._choose(choice, related, features)
        return self._pool(self._head(features, chosen), chosen)

    def _choose(self, choice: WindowChoice, related: Tensor, features: Tensor) -> Tensor | None:
        """Return the windows to pool as a mask (B, windows), or None for all of them."""
        if choice == "all":
            return None
        if choice == "selected":
            return related
        with no_autocast(features):
            return self._related(similarity_scores(features))

    def _pool(self, windows: Tensor, chosen: Tensor | None) -> Tensor:
        """Pool the chosen windows, (B, windows, K) -> (B, K), in full precision."""
        windows = full_precision(windows)
        if self.recipe.pooling == "max":
            if chosen is not None:
                windows = windows.masked_fill(~chosen.unsqueeze(-1), -torch.inf)
            return windows.amax(dim=1)
        if chosen is None:
            return windows.mean(dim=1)
        weights = chosen.to(windows.dtype) / self.keep
        with no_autocast(windows):
            return torch.einsum("bn,bnk->bk", weights, windows)
