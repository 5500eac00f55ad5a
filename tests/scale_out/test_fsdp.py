"""A factorised model under FSDP2, in two processes."""

from scale_out import fully_sharded

from benchmarks.processes import Processes


def test_a_factorised_model_trains_under_fsdp2_as_in_one_process():
    two = Processes()
    try:
        for trained, collapsed in two.run(fully_sharded.train_both):
            assert trained < 1e-6
            assert collapsed < 1e-6
    finally:
        two.close()
