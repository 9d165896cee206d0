"""Import every required package, and report the first that fails. It needs Python only, since any package may be
broken.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module

from svipctl.doctor.finding import Finding

NEEDED_HERE = (("packaging", "packaging"), ("pydantic", "pydantic"), ("pydantic_settings", "pydantic-settings"))
"""Module and package of the requirements of the doctor itself."""
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
"""Every requirement of svipctl; a library follows those that it imports."""


def check_imports(names: Sequence[tuple[str, str]] = REQUIRED) -> Iterator[Finding]:
    """Return the first package that is installed but cannot be imported; later ones may fail for the same reason.

    Args:
        names: Module and package. A torchvision for another torch, for instance, raises different exceptions.

    """
    for module, package in names:
        try:
            import_module(module)
        except Exception as error:
            said = " ".join(str(error).split()) or type(error).__name__
            together = "torch torchvision" if package == "torchvision" else package
            yield Finding(f"{package} import", "wrong", said, f"pip install --force-reinstall {together}")
            return
