"""The settings that a command line gives, and what they are resolved to."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from svipctl.errors import ConfigError

if TYPE_CHECKING:
    from svipctl.settings.layers import Resolved, Workspace


@dataclass(frozen=True)
class Overrides:
    """The settings that a command line gives."""

    flags: Mapping[str, Any] = field(default_factory=dict)
    """Dotted key -> value of each setting whose flag was given."""
    assignments: Sequence[str] = ()
    """Each `key=value` of --set."""
    config: Path | None = None
    """The file of --config."""
    reads: Collection[str] | None = None
    """Settings that the command reads (`svipctl.settings.effects`); all if None."""

    def resolve(
        self,
        dataset: str,
        more: Mapping[str, Any] | None = None,
        *,
        inherited: Mapping[str, Any] | None = None,
        reads: Collection[str] = (),
    ) -> Resolved:
        """Return the settings of a command that has a data set.

        Args:
            dataset: Name or folder of the data set, which chooses the presets.
            more: Dotted key -> value of what the command itself decides, above the flags; None takes a flag back.
            inherited: Dotted key -> value of what another run decides, below the flags.
            reads: Settings that the command reads besides.

        Raises:
            ConfigError: The configuration has errors or names what the command does not read, or a folder is a file.

        """
        from svipctl.settings.effects import check_effect
        from svipctl.settings.layers import resolve

        check_effect(self.assignments, None if self.reads is None else (*self.reads, *reads))
        found = resolve(dataset, flags={**(inherited or {}), **self.flags, **(more or {})}, **self._sources())
        _apply(found.settings.data_dir, found.settings.runs_dir, offline=found.settings.offline)
        return found

    def workspace(self, *, check_folders: bool = True) -> Workspace:
        """Return the folders and the network access of a command that has no data set.

        Args:
            check_folders: Raise ConfigError if a path of a folder is that of a file.

        Raises:
            ConfigError: The configuration has errors, or a folder is a file.

        """
        from svipctl.settings.layers import resolve_workspace

        found = resolve_workspace(flags=self.flags, **self._sources())
        _apply(found.data_dir, found.runs_dir, offline=found.offline, check_folders=check_folders)
        return found

    def _sources(self) -> dict[str, Any]:
        try:
            Path.cwd()
        except OSError as error:  # some of the libraries end the process without a word then
            raise ConfigError(
                "the working folder is gone", why=str(error.strerror), todo="cd to one that exists"
            ) from error
        return {
            "assignments": self.assignments,
            "config": self.config,
            "environment": os.environ,
            "folder": Path(),
        }


def _apply(data_dir: Path, runs_dir: Path, *, offline: bool, check_folders: bool = True) -> None:
    for flag, path in (("--data-dir", data_dir), ("--runs-dir", runs_dir)):
        existing = _nearest_existing(flag, path)
        if check_folders and not existing.is_dir():
            raise ConfigError(f"{flag} {path} is no folder", why=f"{existing} is a file", todo="name another folder")
    if offline:
        os.environ["HF_HUB_OFFLINE"] = "1"


def _nearest_existing(flag: str, path: Path) -> Path:
    """Return the path or the nearest of its parents that exists: a folder may be made later."""
    from svipctl.files import nearest_existing

    try:
        return nearest_existing(path)
    except (OSError, ValueError) as error:  # a name that is too long or has a null in it, a folder without permission
        raise ConfigError(f"{flag} {path} cannot be used", why=str(error)) from error
