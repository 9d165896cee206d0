"""Values that the shell completes. Nothing here may import a heavy library, touch the network or fail."""

from __future__ import annotations

from pathlib import Path

from svipctl.datasets.names import BUILT_IN, OFFICIAL


def datasets(incomplete: str) -> list[str]:
    """Names of benchmarks, and folders."""
    names = [name for name in (*OFFICIAL, *BUILT_IN) if name.startswith(incomplete)]
    return names + [f"{path}/" for path in _folders(incomplete)]


def official(incomplete: str) -> list[str]:
    """Names of the benchmarks that are downloaded."""
    return [name for name in OFFICIAL if name.startswith(incomplete)]


def runs(incomplete: str) -> list[str]:
    """Names of runs of every data set in the default folder of runs."""
    return sorted({path.parent.name for path in Path("runs").glob(f"*/{incomplete}*/config.toml")})


def recipes(incomplete: str) -> list[str]:
    """Names of recipes."""
    return [name for name in ("svipctl", "reference", "paper") if name.startswith(incomplete)]


def precisions(incomplete: str) -> list[str]:
    """Kinds of arithmetic."""
    return [name for name in ("auto", "fp32", "bf16") if name.startswith(incomplete)]


def export_formats(incomplete: str) -> list[str]:
    """Formats of an exported file."""
    return [name for name in ("onnx", "torch", "safetensors") if name.startswith(incomplete)]


def export_precisions(incomplete: str) -> list[str]:
    """Arithmetic of an exported file."""
    return [name for name in ("fp32", "fp16", "int8") if name.startswith(incomplete)]


def settings(incomplete: str) -> list[str]:
    """Keys of the configuration, each with its equals sign."""
    from svipctl.settings.layers import known_keys

    return [f"{key}=" for key, _ in known_keys() if key.startswith(incomplete)]


def _folders(incomplete: str) -> list[Path]:
    parent = Path(incomplete) if incomplete.endswith("/") else Path(incomplete).parent
    try:
        found = [path for path in parent.iterdir() if path.is_dir() and not path.name.startswith(".")]
    except OSError:
        return []
    return sorted(path for path in found if str(path).startswith(incomplete))
