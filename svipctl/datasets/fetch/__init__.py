"""Fetch the official benchmarks and the word vectors: download, check, unpack, install, report the status."""
