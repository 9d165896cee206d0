"""Implement `svipctl data`, one module per command."""
