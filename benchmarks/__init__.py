"""Benchmarks: Daybook beside the stock library, in one run, as ratios. `make bench`; absolute figures mean little."""
