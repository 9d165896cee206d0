"""Define the finding of a check."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

State = Literal["ok", "absent", "wrong"]


@dataclass(frozen=True)
class Finding:
    """One finding of the doctor.

    `absent` is something that only some work needs, for instance a data set; `wrong` is something
    that svipctl cannot work with.
    """

    name: str
    state: State
    found: str
    todo: str = ""
    """The command that fixes it; empty if there is nothing to do."""

    def document(self) -> dict[str, Any]:
        """Return the entry of `doctor --json`."""
        return asdict(self)
