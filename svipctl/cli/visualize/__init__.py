"""Implement `svipctl visualize`, one module per command."""
