"""The suite's comparison for anybody's PyTorch model: ``mlet_bench.sweep``."""
