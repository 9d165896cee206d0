"""Implement `svipctl w2v`, one module per command."""
