"""Benchmarks: each times our code against a peer or a limit and gives a table with the ratio."""
