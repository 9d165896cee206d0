"""Import every required package, and report the first that fails. It needs Python only, since any package may be
broken.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module

from svipctl.doctor.finding import Finding

NEEDED_HERE = ("packaging", "pydantic", "pydantic-settings")
"""The requirements of the doctor itself."""
REQUIRED = (
    *(*NEEDED_HERE, "numpy", "scipy", "pillow", "torch", "torchvision", "huggingface_hub", "timm", "gensim"),
    *("safetensors", "httpx", "tenacity", "tomli-w", "matplotlib", "jinja2", "rich", "typer"),
)
"""Every requirement of svipctl; a library follows those that it imports."""
_MODULES = {"pillow": "PIL", "safetensors": "safetensors.torch"}
"""Package -> its module, where that is not the name with underscores."""


def check_imports(packages: Sequence[str] = REQUIRED) -> Iterator[Finding]:
    """Return the first package that is installed but cannot be imported; later ones may fail for the same reason."""
    for package in packages:
        try:
            import_module(_MODULES.get(package, package.replace("-", "_")))
        except Exception as error:  # a torchvision for another torch, for instance, raises different exceptions
            said = " ".join(str(error).split()) or type(error).__name__
            together = "torch torchvision" if package == "torchvision" else package
            yield Finding(f"{package} import", "wrong", said, f"pip install --force-reinstall {together}")
            return
