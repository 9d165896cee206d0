"""What is installed but cannot be imported. Needs nothing but Python, since anything else may be what is broken."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module

from svipctl.doctor.finding import Finding

NEEDED_HERE = (("packaging", "packaging"), ("pydantic", "pydantic"), ("pydantic_settings", "pydantic-settings"))
"""Module and package of what the examination itself needs."""
REQUIRED = (
    *NEEDED_HERE,
    *(("numpy", "numpy"), ("scipy", "scipy"), ("PIL", "pillow"), ("torch", "torch"), ("torchvision", "torchvision")),
    *(
        ("huggingface_hub", "huggingface_hub"),
        ("timm", "timm"),
        ("gensim", "gensim"),
        ("safetensors.torch", "safetensors"),
        ("httpx", "httpx"),
        ("tenacity", "tenacity"),
    ),
    *(("tomli_w", "tomli-w"), ("matplotlib", "matplotlib"), ("jinja2", "jinja2"), ("rich", "rich"), ("typer", "typer")),
)
"""Every requirement of svipctl, a library after those that it imports itself."""


def check_imports(names: Sequence[tuple[str, str]] = REQUIRED) -> Iterator[Finding]:
    """What is installed but cannot be imported, up to the first: those after it would fail of the same cause.

    Args:
        names: Module and package. A torchvision made for another torch, for instance, raises what it likes.

    """
    for module, package in names:
        try:
            import_module(module)
        except Exception as error:
            said = " ".join(str(error).split()) or type(error).__name__
            together = "torch torchvision" if package == "torchvision" else package
            yield Finding(f"{package} import", "wrong", said, f"pip install --force-reinstall {together}")
            return
