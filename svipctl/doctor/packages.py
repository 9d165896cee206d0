"""Check Python and the required packages against the versions that svipctl declares."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from svipctl.doctor.finding import Finding

INSTALL = "pip install svipctl"


def check_python(version: str | None = None) -> Finding:
    """Check Python against `requires-python`."""
    version = version or platform.python_version()
    try:
        wanted = metadata.metadata("svipctl")["Requires-Python"]
    except metadata.PackageNotFoundError:
        return Finding("python", "absent", f"{version}; svipctl is not installed, so its range is unknown", INSTALL)
    good = SpecifierSet(wanted).contains(version, prereleases=True)
    todo = "" if good else f"install Python {wanted} and create a new environment with it"
    return Finding("python", "ok" if good else "wrong", f"{version} (wanted {wanted})", todo)


def check_requirements(
    lines: Sequence[str] | None = None, version_of: Callable[[str], str] = metadata.version
) -> Iterator[Finding]:
    """Check each requirement of svipctl; those of an extra are at most `absent`.

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
    reported = set()
    for line in lines:
        wanted = Requirement(line)
        extra = _extra_of(wanted)
        if extra == "dev" or (extra is None and wanted.marker is not None and not wanted.marker.evaluate()):
            continue
        if (wanted.name, wanted.specifier) in reported:  # of an extra that has two names
            continue
        reported.add((wanted.name, wanted.specifier))
        yield _check(wanted, extra, version_of)


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
