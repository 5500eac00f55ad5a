"""Evaluation: scores of a model over a split, and metrics as pure functions of arrays."""
