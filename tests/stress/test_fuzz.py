"""Many more raw lines than the suite tries: each is parsed as the definition says, or refused with line and column."""

import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from mlet_bench.data import avazu, criteo, parse
from mlet_bench.data.raw import Block

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
from test_parse import agree, mutated

pytestmark = pytest.mark.stress
INPUTS = 5_000  # of each format


@pytest.mark.parametrize("fmt", [criteo.FORMAT, avazu.FORMAT], ids=lambda fmt: fmt.name)
def test_fuzzed_lines(fmt):
    tried = Counter()

    @settings(max_examples=INPUTS, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(mutated(fmt))
    def run(text):
        agree(text, fmt)
        tried["refused" if parse._read(Block.of(text, 1, "f"), fmt) is None else "parsed"] += 1

    run()
    print(
        f"\n{fmt.name}: {sum(tried.values()):,} inputs tried, {tried['parsed']:,} parsed, {tried['refused']:,} refused"
    )
    assert min(tried["parsed"], tried["refused"]) > INPUTS // 20
