"""Resolve the settings of a command line."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from svipctl.errors import ConfigError

if TYPE_CHECKING:
    from svipctl.settings.layers import Given, Resolved, Workspace
    from svipctl.settings.schema import Settings


@dataclass(frozen=True)
class Overrides:
    """The settings that a command line gives."""

    flags: Mapping[str, Any] = field(default_factory=dict)
    """Dotted key -> value of each setting whose flag is given."""
    assignments: Sequence[str] = ()
    """Each `key=value` of --set."""
    config: Path | None = None
    """The file of --config."""
    reads: Collection[str] | None = None
    """Settings that the command reads (`svipctl.settings.effects`); all if None."""

    def resolve(self, dataset: str, more: Mapping[str, Any] | None = None) -> Resolved:
        """Return the settings of a command that has a data set.

        Args:
            dataset: Name or folder of the data set, which chooses the presets.
            more: Dotted key -> value set by the command itself, above the flags; None removes a flag.

        Raises:
            ConfigError: The configuration has errors or settings that the command does not read, or a folder is a file.

        """
        from svipctl.settings.effects import check_effect
        from svipctl.settings.layers import resolve

        check_effect(self.assignments, self.reads)
        found = resolve(dataset, **self._given({**self.flags, **(more or {})}))
        _apply(found.settings)
        return found

    def workspace(self, *, check_folders: bool = True) -> Workspace:
        """Return the folders and the network access of a command that has no data set.

        Args:
            check_folders: Raise ConfigError if a folder is a file.

        Raises:
            ConfigError: The configuration has errors, or a folder is a file.

        """
        from svipctl.settings.layers import resolve_workspace

        found = resolve_workspace(**self._given(self.flags))
        _apply(found, check_folders=check_folders)
        return found

    def _given(self, flags: Mapping[str, Any]) -> Given:
        try:
            Path.cwd()
        except OSError as error:  # some of the libraries crash then without a message
            raise ConfigError(
                "the working folder does not exist any more",
                why=str(error.strerror),
                todo="change to an existing folder",
            ) from error
        return {
            "flags": flags,
            "assignments": self.assignments,
            "config": self.config,
            "environment": os.environ,
        }


def _apply(found: Settings | Workspace, *, check_folders: bool = True) -> None:
    from svipctl.files import nearest_existing

    for flag, path in (("--data-dir", found.data_dir), ("--runs-dir", found.runs_dir)):
        try:
            existing = nearest_existing(path)  # a folder may be created later
        except (OSError, ValueError) as error:  # a name too long or with a NUL, or a folder without permission
            raise ConfigError(f"{flag} {path} cannot be used", why=str(error)) from error
        if check_folders and not existing.is_dir():
            raise ConfigError(
                f"{flag} {path} is not a folder", why=f"{existing} is a file", todo="choose another folder"
            )
    if found.offline:
        os.environ["HF_HUB_OFFLINE"] = "1"
