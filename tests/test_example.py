"""The example runs as it stands and says what it promises."""

import re
import subprocess
import sys
from pathlib import Path


def test_the_example_shrinks_its_model_and_changes_nothing():
    file = Path(__file__).parents[1] / "examples" / "shrink_a_model.py"
    done = subprocess.run([sys.executable, file], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    training, deployed = (
        int(number.replace(",", "")) for number in re.findall(r"([\d,]+) (?:while|deployed)", done.stdout)
    )
    heads = 8 * 64 + 64 + 64 + 1
    assert (training, deployed) == (7000 * 64 + 2 * 64 * 4 + heads, 7000 * 4 + heads)
    assert float(done.stdout.split()[-1]) < 1e-5
