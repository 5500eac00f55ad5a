"""A bit flipped at random, many times, in every kind of file: right numbers, or a sentence."""

import os
import random

import pytest
from finished import make_finished
from flips import KINDS, flip_and_read, prepare_place

pytestmark = pytest.mark.stress
FLIPS = int(os.environ.get("MLET_BENCH_STRESS_FLIPS", "1000"))  # of each kind; a tenth of those that take long
SEED = int(os.environ.get("MLET_BENCH_STRESS_SEED", "0"))


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        finished = make_finished(tmp_path_factory.mktemp("finished"))
        yield prepare_place(finished, tmp_path_factory.mktemp("flips"))


@pytest.mark.parametrize("name", KINDS)
def test_a_flipped_bit(results, name, capsys):
    kind = KINDS[name]
    came, wrong = flip_and_read(results, kind, FLIPS // 10 if kind.slow else FLIPS, random.Random(SEED))
    with capsys.disabled():
        print(f"\nflips, {name}: {came.total()} attempts, {came['survived']} survived, {came['refused']} refused, "
              f"{came['wrong']} wrong")  # fmt: skip
    assert not wrong, "\n".join(wrong)
