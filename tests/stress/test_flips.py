"""Every kind of file damaged at random, many times: right numbers, or a sentence."""

import os
import random

import pytest
from finished import make_finished
from flips import KINDS, damage_and_read, flipped, prepare_place, replaced, told

pytestmark = pytest.mark.stress
FLIPS = int(os.environ.get("MLET_BENCH_STRESS_FLIPS", "1000"))  # of each kind; a tenth of those that take long
SEED = int(os.environ.get("MLET_BENCH_STRESS_SEED", "0"))


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return prepare_place(make_finished(tmp_path_factory.mktemp("finished")), tmp_path_factory.mktemp("flips"))


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("damage", [flipped, replaced])
def test_a_damaged_file(results, name, damage, capsys):
    kind = KINDS[name]
    attempts = FLIPS // (10 if kind.slow else 1) // (10 if damage is replaced else 1) + 1
    came, wrong = damage_and_read(results, kind, attempts, random.Random(SEED), damage)
    with capsys.disabled():
        print(f"\n{damage.__name__}, {name}: {told(came)}", end="")
    assert not wrong, "\n".join(wrong)
