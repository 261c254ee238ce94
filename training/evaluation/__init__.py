"""Metrics and evaluation protocols of the benchmarks."""
