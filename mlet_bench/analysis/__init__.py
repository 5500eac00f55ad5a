"""What the numbers of finished runs say: pure functions of arrays and tables, no files and no training."""
