"""Which of torch's operators run."""

from __future__ import annotations

from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

FUSED = "mkldnn._linear_pointwise.default"
"""A product in bf16 with bias and activation inside."""
CONVERTED = "mkldnn._reorder_linear_weight.default"
"""A weight brought into the order of these products."""


class Operators(TorchDispatchMode):
    """The names of the operators that run."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))
