"""Helpers that tests and benchmarks share: bundles with random weights, a served tool, accounts, a browser."""
