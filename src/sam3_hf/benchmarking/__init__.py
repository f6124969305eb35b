"""Benchmarking: the time and memory of each part, and how far that is from what the machine can do."""
