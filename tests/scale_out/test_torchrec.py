"""MLET in TorchRec, in two processes. It needs torchrec and fbgemm-gpu: make test-torchrec."""

import pytest

pytest.importorskip("torchrec", reason="torchrec is not installed: make test-torchrec")

from scale_out import sharded
from torchrec import EmbeddingBagCollection

from benchmarks.processes import Processes
from mlet_bench.errors import BenchError
from mlet_bench.torchrec import ProjectedTables, TowerTables, factorize

MIXED = ("table_wise", "row_wise", "data_parallel", "column_wise")
ONE_HOST = ("table_row_wise", "table_row_wise", "table_column_wise", "table_column_wise")
# The form, the plan, and how many processes stand on one host.
PLANS = {
    "table-wise": ("projection", ("table_wise",) * 4, 2),
    "row-wise": ("projection", ("row_wise",) * 4, 2),
    "column-wise": ("projection", ("column_wise",) * 4, 2),
    "mixed": ("projection", MIXED, 2),
    "towers, one host": ("towers", ONE_HOST, 2),
    "towers, two hosts": ("towers", ONE_HOST, 1),
}
BY_ROWS = ("table-wise", "row-wise")
CASES = [(name, optimizer) for name in PLANS for optimizer in ("sgd", "adagrad")]
# Under a plan that cuts columns each part of a row has a sum of its own: another optimizer.
CASES += [(name, "row-wise adagrad") for name in BY_ROWS]


@pytest.fixture(scope="module")
def processes():
    """Two processes on hosts of 2 or of 1, by that number."""
    started = {local_world: Processes(local_world) for local_world in (1, 2)}
    yield started
    for two in started.values():
        two.close()


@pytest.mark.parametrize(("name", "optimizer"), CASES)
def test_two_processes_train_and_serve_what_one_does(processes, name, optimizer, tmp_path):
    form, plan, local_world = PLANS[name]
    # Adagrad's first steps are as large for gradients that are all rounding.
    logit, value = (2e-6, 1e-6) if optimizer == "sgd" else (1e-4, 1e-4)
    both = processes[local_world].run(sharded.train_both, form, plan, optimizer, str(tmp_path))
    for seen in both:
        loaded, collapsed = seen["names"]
        assert loaded == collapsed
        assert seen["logit"] < logit
        assert seen["table"] < value
        assert seen["served"] < 2e-5  # of logits around 20; check_collapsed has judged it
    # Together they hold the plain tables once, and both have a part.
    assert sum(seen["held"] for seen in both) == sum(sharded.SIZES) * sharded.D
    assert both[0]["owners"] == {0, 1}


@pytest.mark.parametrize("name", PLANS)
def test_initial_values_are_those_of_the_suites_own_tables_under_every_plan(processes, name):
    form, plan, local_world = PLANS[name]
    for equal in processes[local_world].run(sharded.initial_values, form, plan):
        assert equal and all(equal)


def test_vectors_come_in_the_order_of_the_ranks_and_leave_in_that_of_the_tables(processes):
    for given, sharded_order, ours in processes[2].run(sharded.order_of_columns):
        assert sharded_order != given  # so W2 must be paired by name
        assert sorted(sharded_order) == sorted(given)
        assert ours == given


def test_data_parallel_tables_are_the_dense_optimizers(processes, tmp_path):
    for seen in processes[2].run(sharded.train_both, "projection", MIXED, "sgd", str(tmp_path)):
        assert "tables.w1.embedding_bags.t2.weight" in seen["dense"]
        assert "tables.w1.embedding_bags.t1.weight" not in seen["dense"]
        assert "tables.w2.0" in seen["dense"]


def test_fused_adagrad_has_its_own_eps_unless_told(processes):
    # At gradients far below 1e-8 the step is lr g / (g + eps): small with fbgemm's 1e-8, near lr with torch's 1e-10.
    assert max(processes[2].run(sharded.small_steps, {})) < 0.5
    assert max(processes[2].run(sharded.small_steps, {"eps": 1e-12})) > 0.9


@pytest.mark.parametrize("plan", [MIXED, ("column_wise",) * 4])
def test_a_collapse_in_blocks_is_the_collapse(processes, plan):
    assert processes[2].run(sharded.collapse_in_blocks, plan, 3) == [True, True]


def test_a_checkpoint_of_the_factorised_model_loads_under_another_plan(processes, tmp_path):
    assert max(processes[2].run(sharded.resumed, str(tmp_path))) < 2e-6


@pytest.mark.parametrize(("value", "said"), [(9.0, "DeployRefusedError"), (float("nan"), "DeployRefusedError")])
def test_a_served_model_that_differs_is_refused(processes, value, said):
    assert processes[2].run(sharded.wrong_weights, value) == [said, said]


def test_a_collection_is_factorised_with_its_names_and_a_k_for_each_table():
    plain = EmbeddingBagCollection(sharded.configs())
    made = factorize(plain, {"t0": 16, "t1": 8, "t2": 4, "t3": 32}, "towers")
    assert isinstance(made, TowerTables)
    assert made.inner_dims == (16, 8, 4, 32)
    assert made.features() == ["f0", "f1", "f2", "f3", "f4"]
    assert isinstance(factorize(sharded.configs(), 16), ProjectedTables)


@pytest.mark.parametrize(
    ("inner_dim", "form", "said"),
    [
        (16, "tower", "no form 'tower'"),
        (6, "towers", "inner_dim 6 of table 't0' is no positive multiple of 4"),
        ("16", "towers", "inner_dim '16'"),
        ({"t0": 16}, "projection", "no k for table 't1'"),
    ],
)
def test_what_cannot_be_factorised_is_refused(inner_dim, form, said):
    with pytest.raises(BenchError, match=said):
        factorize(sharded.configs(), inner_dim, form)
