"""Many more raw lines than the suite tries: each is parsed as the definition says, or refused with line and column."""

import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from mlet_bench.data import parse

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
from test_parse import FORMATS, agree, mutated

pytestmark = pytest.mark.stress
INPUTS = 5_000  # of each format


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=lambda fmt: fmt.name)
def test_fuzzed_lines(fmt):
    tried = Counter()

    @settings(max_examples=INPUTS, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(mutated(fmt))
    def run(text):
        agree(text, fmt)
        tried["refused" if any(parse.line_fault(line, fmt) for line in text.split(b"\n")[:-1]) else "parsed"] += 1

    run()
    print(
        f"\n{fmt.name}: {sum(tried.values()):,} inputs tried, {tried['parsed']:,} parsed, {tried['refused']:,} refused"
    )
    assert min(tried["parsed"], tried["refused"]) > INPUTS // 20
