"""Record torch's operators that run, and the parameters that they use."""

from __future__ import annotations

from typing import Any

from torch.nn import Parameter
from torch.utils._python_dispatch import TorchDispatchMode

CONVERTED = "aten._to_copy.default"
"""Operator that converts a tensor to another type."""


class Operators(TorchDispatchMode):
    """Operators that ran: their names, and the parameter that is the first argument."""

    def __init__(self) -> None:
        super().__init__()
        self.ran: list[tuple[str, Parameter | None]] = []

    def conversions(self) -> list[int]:
        """Return the number of conversions of each converted parameter."""
        converted = [id(one) for name, one in self.ran if name == CONVERTED and one is not None]
        return [converted.count(one) for one in set(converted)]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        first = args[0] if args else None
        self.ran.append((str(func), first if isinstance(first, Parameter) else None))
        return func(*args, **(kwargs or {}))
