"""Python and the required packages, each against the range that svipctl declares."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module, metadata

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from svipctl.doctor.finding import Finding

INSTALL = "pip install svipctl"
IMPORTED = (("numpy", "numpy"), ("PIL", "pillow"), ("torch", "torch"), ("torchvision", "torchvision"), ("timm", "timm"))


def check_python(version: str | None = None) -> Finding:
    """Python against `requires-python`."""
    version = version or platform.python_version()
    wanted = _declared("Requires-Python")
    if not wanted:
        return Finding("python", "absent", f"{version}; svipctl is not installed, so its range is unknown", INSTALL)
    good = SpecifierSet(wanted).contains(version, prereleases=True)
    todo = "" if good else f"install a Python {wanted} and make a new environment with it"
    return Finding("python", "ok" if good else "wrong", f"{version} (wanted {wanted})", todo)


def check_requirements(
    lines: Sequence[str] | None = None, version_of: Callable[[str], str] = metadata.version
) -> Iterator[Finding]:
    """Each requirement of svipctl; those of an extra are `absent` at worst.

    Args:
        lines: Requirements as in a distribution's metadata; by default the installed svipctl's.
        version_of: Version of an installed distribution, or `PackageNotFoundError`.

    """
    if lines is None:
        try:
            lines = metadata.requires("svipctl") or []
        except metadata.PackageNotFoundError:
            yield Finding(
                "requirements", "absent", "svipctl is not installed, so its requirements are unknown", INSTALL
            )
            return
    for line in lines:
        wanted = Requirement(line)
        extra = _extra_of(wanted)
        if extra == "dev" or (extra is None and wanted.marker is not None and not wanted.marker.evaluate()):
            continue
        yield _check(wanted, extra, version_of)


def check_imports(names: Sequence[tuple[str, str]] = IMPORTED) -> Iterator[Finding]:
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


def _check(wanted: Requirement, extra: str | None, version_of: Callable[[str], str]) -> Finding:
    plain = f"{wanted.name}{wanted.specifier}"
    bad_state = "absent" if extra else "wrong"
    install = f"pip install 'svipctl[{extra}]'" if extra else f"pip install '{plain}'"
    purpose = f", for the extra {extra}" if extra else ""
    try:
        version = version_of(wanted.name)
    except metadata.PackageNotFoundError:
        return Finding(wanted.name, bad_state, f"not installed (wanted {wanted.specifier}{purpose})", install)  # type: ignore[arg-type]
    if wanted.specifier.contains(version, prereleases=True):
        return Finding(wanted.name, "ok", f"{version} (wanted {wanted.specifier}{purpose})")
    return Finding(wanted.name, "wrong", f"{version} (wanted {wanted.specifier}{purpose})", f"pip install '{plain}'")


def _extra_of(wanted: Requirement) -> str | None:
    text = str(wanted.marker or "")
    return text.partition("extra ==")[2].strip(" \"')") or None if "extra ==" in text else None


def _declared(field: str) -> str:
    try:
        return str(metadata.metadata("svipctl").json.get(field.lower().replace("-", "_"), ""))
    except metadata.PackageNotFoundError:
        return ""
