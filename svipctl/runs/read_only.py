"""A run that another process of the same training writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from svipctl.runs.run import Run
from svipctl.settings.schema import Settings


class ReadOnlyRun(Run):
    """A run that another process writes: reading works, writing does nothing."""

    def make(self) -> None:
        """Nothing."""

    def start(
        self,
        settings: Settings,
        environment: Mapping[str, Any],
        training_images: Sequence[str],
        *,
        development: Mapping[str, Any] | None = None,
        validation_images: Sequence[str] = (),
        initial_images: Sequence[str] = (),
    ) -> None:
        """Nothing."""

    def add_metrics(self, record: Mapping[str, Any]) -> None:
        """Nothing."""

    def keep_metrics(self, epochs: int, last: Mapping[str, Any]) -> None:
        """Nothing."""

    def add_steps(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Nothing."""

    def keep_steps(self, epoch: int, step: int) -> None:
        """Nothing."""

    def discard_without_checkpoint(self) -> None:
        """Nothing."""

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Nothing."""

    def save_json(self, relative: str, document: Mapping[str, Any]) -> Path:
        """Nothing."""
        return self.folder / relative
