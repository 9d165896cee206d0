"""What a check found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

State = Literal["ok", "absent", "wrong"]


@dataclass(frozen=True)
class Finding:
    """One line of the examination.

    `absent` is something that some work needs and other work does not, a data set for instance; `wrong` is something
    that svipctl cannot work with.
    """

    name: str
    state: State
    found: str
    todo: str = ""
    """The command that mends it; empty when nothing is to be done."""

    def document(self) -> dict[str, Any]:
        """As in `doctor --json`."""
        return asdict(self)
