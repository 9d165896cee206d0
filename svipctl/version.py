"""The version of svipctl."""

__version__ = "0.1.0"
