"""Statistics: pure functions of arrays; no files, no training."""
