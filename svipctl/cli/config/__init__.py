"""Implement `svipctl config`, one module per command."""
