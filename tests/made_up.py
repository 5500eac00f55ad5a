"""Results with numbers that a test chooses: no folders, no training."""

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd

from mlet_bench.arms import ARMS
from mlet_bench.evaluation.metrics import METRICS
from mlet_bench.spec import cell_name
from mlet_bench.tables.results import Results

DIMS, INNERS, SEEDS = (4, 8, 16, 32), (16, 64), (0, 1, 2, 3, 4)
FULL = {"criteo-kaggle": 45_840_617, "avazu": 40_428_967}
SLOPE = 0.01  # AUC that a single layer gains by a doubling of its width


def seed_noise(seed, scale=1e-3):
    """What all arms of a seed share: it goes where differences are paired."""
    return float(np.random.default_rng(seed).normal(scale=scale))


def worth(factors=None, own=1e-4):
    """Quality by arm: each as good as a single layer ``factors[arm](d, k)`` times as wide, with noise of its own."""
    factors = {"mlet": lambda d, k: k / d} | (factors or {})

    def quality(arm, d, k, seed):
        factor = factors.get(arm, lambda d, k: 1.0)(d, k)
        noise = np.random.default_rng([seed, d, k or 0, len(arm)]).normal(scale=own)
        return 0.7 + SLOPE * math.log2(d * factor) + seed_noise(seed) + float(noise)

    return quality


def make_runs(
    quality, arms=("single", "mlet"), datasets=("avazu",), models=("dlrm",), dims=DIMS, inners=INNERS, seeds=SEEDS,
    open_runs=None,
):  # fmt: skip
    """One row a run. ``open_runs`` maps a cell, or (cell, seed), to (status, kind of failure, reason)."""
    open_runs, rows = open_runs or {}, []
    for dataset in datasets:
        for model in models:
            for arm, d, k in cells(arms, dims, inners):
                cell = cell_name(arm, d, k)
                for seed in seeds:
                    status, kind, reason = open_runs.get((cell, seed), open_runs.get(cell, ("done", "", "")))
                    done, auc = status == "done", quality(arm, d, k, seed)
                    rows.append(
                        {"dataset": dataset, "model": model, "cell": cell, "arm": arm, "dim": d, "inner_dim": k,
                         "seed": seed, "status": status, "kind": kind, "reason": reason,
                         "test_auc": auc if done else math.nan, "test_logloss": 1.2 - auc if done else math.nan,
                         "val_auc": auc if done else math.nan,
                         "deployed_tables_bytes": 4000 * d if done else pd.NA,
                         "deployed_linear_bytes": 0 if done else pd.NA,
                         "max_logit_difference": 1e-6 if done else math.nan,
                         "logit_tolerance": 1e-5 if done else math.nan}
                    )  # fmt: skip
    types = {"dim": "Int64", "inner_dim": "Int64", "deployed_tables_bytes": "Int64", "deployed_linear_bytes": "Int64"}
    return pd.DataFrame(rows).astype(
        types | dict.fromkeys(("dataset", "model", "cell", "arm", "kind", "reason"), "string")
    )


def make_results(runs, spectrum=None, overhead=None, rare=None, planted=(), parts=()):
    """Results of frames; ``planted`` and ``parts`` name data sets that were generated, and of which a part was used."""
    datasets = list(runs["dataset"].unique())
    config = {"profile": "toy", "datasets": {name: {"source": "download"} for name in datasets}}
    sources = {name: {"planted": {} if name in planted else None, "rows": 9 if name in parts else FULL[name]}
               for name in datasets}  # fmt: skip
    names = ("dataset", "model", "cell", "arm", "dim", "inner_dim", "seed", "grouping", "group", "deviations")
    none = pd.DataFrame({name: [] for name in names})
    served = [*names[:7], "budget", "format", "refused", "tables_bytes", "val_auc", "test_auc", "test_logloss"]
    served += ["rows_per_second_1", "rows_per_second_2048"]
    return Results(
        config=config, schemas={name: SimpleNamespace(source=source) for name, source in sources.items()},
        runs=runs.assign(**{f"test_{name}": math.nan for name in METRICS if f"test_{name}" not in runs}),
        longer_runs=none, budget_runs=none, formats=pd.DataFrame(columns=served),
        curves=none, longer_curves=none, reweighting=none,
        tuned=none, untimed={},
        spectrum=none if spectrum is None else spectrum, overhead=none if overhead is None else overhead,
        rare=none if rare is None else rare,
    )  # fmt: skip


def make_spectrum(runs, share):
    """Ranks of 4 trained tables of each finished run: ``share(arm, d)`` times d, more or less by seed and table.

    At the start all arms have equal ranks.
    """
    rows = []
    for run in runs[runs["status"] == "done"].itertuples():
        for field in range(4):
            for stage, factor in (("trained", share(run.arm, run.dim)), ("initial", 0.97)):
                rank = factor * run.dim * (1 + 0.05 * field) * (1 + seed_noise(run.seed))
                rows.append((run.dataset, run.model, run.cell, run.seed, f"C{field}", stage, "uniform", rank))
    names = ["dataset", "model", "cell", "seed", "field", "stage", "weighting", "effective_rank"]
    return pd.DataFrame(rows, columns=names)


def make_rare(runs, gains):
    """Three groups of rows of each finished run; ``gains(arm, group)`` is added to the AUC of those by rare fields."""
    rows = [
        (run.dataset, run.model, run.cell, run.seed, grouping, group,
         0.6 + 0.03 * group + (gains(run.arm, group) if grouping == "rare fields" else 0.0) + seed_noise(run.seed),
         np.zeros(2))
        for run in runs[runs["status"] == "done"].itertuples()
        for grouping in ("rare fields", "typical")
        for group in range(3)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["dataset", "model", "cell", "seed", "grouping", "group", "auc", "deviations"])


def make_overhead(extra, datasets=("avazu",), dims=DIMS, inners=INNERS, device="NVIDIA H200", batch=128):
    """Seven timed pairs a (d, k); a step of MLET takes ``extra(d, k)`` more, and in one pair the machine was busy."""
    rows = [
        (
            dataset,
            "dlrm",
            d,
            k,
            batch,
            device,
            pair,
            2.0 + 0.1 * pair,
            (2.0 + 0.1 * pair) * (1 + extra(d, k)) * (9.0 if pair == 3 else 1.0),
        )
        for dataset in datasets
        for _, d, k in cells(("mlet",), dims, inners)
        for pair in range(7)
    ]
    names = ["dataset", "model", "dim", "inner_dim", "batch_size", "device", "pair", "single_ms", "mlet_ms"]
    return pd.DataFrame(rows, columns=names)


def cells(arms, dims, inners):
    """(arm, d, k) as a configuration expands them."""
    for arm in arms:
        for d in dims:
            for k in inners if ARMS[arm].inner_dim else (None,):
                if k is None or k >= d:
                    yield arm, d, k
