"""svipctl: zero-shot image classification from attributes with SVIP (ICCV 2025)."""

__version__ = "0.1.0"
