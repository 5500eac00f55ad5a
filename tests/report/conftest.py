"""Makes ``tests/fake_results.py`` importable when this folder is run alone."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
