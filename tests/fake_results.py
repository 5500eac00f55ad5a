"""A results folder as a finished workflow leaves it, with numbers that a test chooses; nothing is trained."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from mlet_bench.config import cell_spec, check_config, run_folders
from mlet_bench.data import DATASETS
from mlet_bench.evaluation.metrics import METRICS
from mlet_bench.files import write_json
from mlet_bench.runs import (
    BY_FREQUENCY,
    CURVE,
    DEPLOYED,
    FACTORS,
    PROVENANCE,
    SPECTRUM,
    RunFolder,
    overhead_file,
)
from mlet_bench.runs import METRICS as METRICS_FILE
from mlet_bench.spec import DatasetSchema, Field

ROWS, DEVICE = 1280, "CPU, 1 of 2 threads"


def make_results(root, config=None, planted=0.8, fields=("C1", "C2"), auc=None, skip=(), overhead=True, spectrum=True,
                 full=False, table_bytes=None):  # fmt: skip
    """Write ``root/<profile>`` and return it.

    ``auc(cell, seed)`` gives the test AUC of a run; ``skip`` names (cell, seed) pairs that are left out.
    ``full`` says that all rows of the genuine set were used; ``table_bytes(cell)`` gives the bytes of deployed tables.
    """
    config = check_config(config or small_config())
    results = Path(root) / config["profile"]
    results.mkdir(parents=True)
    write_json(results / "config.json", config)
    for dataset in config["datasets"]:
        schema = _schema(dataset, fields, planted, DATASETS[dataset].full_rows if full else ROWS + 320)
        (results / "data" / dataset).mkdir(parents=True)
        schema.write(results / "data" / dataset)
        if overhead:
            for model in config["models"]:
                _write_overhead(overhead_file(results, dataset, model), dataset, model, config)
        for cell, seed, folder in run_folders(config, results):
            if cell.dataset == dataset and (cell.name, seed) not in skip:
                _write_run(folder, cell, seed, schema, config, (auc or default_auc)(cell, seed), spectrum, table_bytes)
    return results


def small_config(**changes):
    """Two arms, one d, one k, two seeds, planted rows."""
    config = {
        "profile": "toy",
        "datasets": {"avazu": {"source": "synthesize", "rows": ROWS}},
        "arms": ["single", "mlet"],
        "dims": [4],
        "inner_dims": [16],
        "seeds": [0, 1],
    }
    return config | changes


def default_auc(cell, seed):
    """A plausible AUC: grows with d, MLET above single, with the noise of a seed that all arms share."""
    gain = 0.0 if cell.inner_dim is None else 0.0006 * np.log2(cell.inner_dim)
    shares = {"single": 0, "mlet": 1, "single-lr": 0.9, "single-init": 0.2, "mlet-frozen": 0.6, "mlet-unit": 0.3}
    gain *= (shares | {"single-lr-tuned": 0.95, "mlet-lr-tuned": 1.05}).get(cell.arm, 0.5)
    noise = np.random.default_rng([seed, cell.dim]).normal(scale=0.0004)
    own = np.random.default_rng([seed, cell.dim, cell.inner_dim or 0]).normal(scale=0.0002)
    return float(0.74 + 0.003 * np.log2(cell.dim) + gain + noise + own)


def _schema(dataset, fields, planted, rows):
    return DatasetSchema(
        name=dataset,
        fields=tuple(Field(name, 10 * (place + 1)) for place, name in enumerate(fields)),
        dense=("hour",),
        rows={"train": ROWS, "val": 160, "test": 160},
        clicks={"train": 220, "val": 27, "test": 28},
        source={
            "file": "raw.csv",
            "md5": "0" * 32,
            "rows": rows,
            "planted": None if planted is None else {"seed": 1, "rows": rows, "best_auc": planted},
        },
        preparation={"split": "random", "max_rows": None},
        version=1,
    ).sealed()


def _write_run(folder, cell, seed, schema, config, auc, spectrum, table_bytes):
    spec = cell_spec(config, cell, seed, schema.fingerprint)
    folder.mkdir(parents=True)
    spec.write(folder)
    rows = np.linspace(0, ROWS, 6)[1:].astype(np.int64)
    approach = 1 - np.exp(-rows / 300)
    curve = pd.DataFrame(
        {
            "step": rows // 128,
            "rows": rows,
            "train_loss": 0.5 - 0.1 * approach,
            "val_auc": 0.5 + (auc - 0.5) * approach,
            "val_logloss": 0.6 - 0.2 * approach,
        }
    )
    run = RunFolder(folder)
    _write_table(run, CURVE, curve)
    versions = {"python": "3.11.9", "torch": "2.13.0", "numpy": "2.4.6", "mlet_bench": "0.1.0"}
    provenance = {
        "commit": "a" * 40,
        "dirty": False,
        "versions": versions,
        "device": DEVICE,
        "threads": 1,
        "started": f"2026-01-0{1 + seed % 9}T00:00:00+00:00",
        "seconds": 12.5,
        "rows_per_second": 1000.0,
        "peak_memory_bytes": 10**8,
        "code": "c" * 12,
    }
    run.write_document(PROVENANCE, provenance, spec.id)
    deployed = dict.fromkeys(DEPLOYED.keys, "") | {"sha256": "b" * 64, "max_logit_difference": {"val": 1e-6}}
    deployed |= {"logit_tolerance": 1e-5}
    run.write_document(DEPLOYED, deployed, spec.id)
    n, k = sum(schema.table_sizes), cell.inner_dim
    factored = cell.arm.startswith("mlet")
    training = 4 * (n * k + len(schema.fields) * k * cell.dim) if factored else 4 * n * cell.dim
    tables = 4 * n * cell.dim if table_bytes is None else table_bytes(cell)
    values = {"auc": auc, "logloss": 1.2 - auc, "ne": 0.9, "pr_auc": 0.4, "accuracy": 0.83, "calibration": 1.01}
    values = dict.fromkeys(METRICS, 0.5) | values
    sizes = {"training_tables": training, "deployed_tables": tables}
    sizes |= {"training": training + 4000, "deployed": tables + 4000}
    metrics = {"val": values, "test": values, "bytes": sizes, "deployed_sha256": "b" * 64}
    run.write_document(METRICS_FILE, metrics, spec.id)
    _write_rare(run, auc)
    if spectrum:
        _write_factors(run, cell, schema)
        lowered = 0.8 if factored else 0.9
        ranks = [
            (field.name, field.size, stage, weighting, value * cell.dim, value * cell.dim / 2)
            for field in schema.fields
            for stage, value in (("initial", 0.95), ("trained", lowered))
            for weighting in ("uniform", "training")
        ]
        names = ["field", "size", "stage", "weighting", "effective_rank", "stable_rank"]
        _write_table(run, SPECTRUM, pd.DataFrame(ranks, columns=names))


def _write_table(run, table, frame):
    run.write_table(table, pa.Table.from_pandas(frame, preserve_index=False), run.spec.id)


def _write_rare(run, auc):
    """Three groups of rows by their rarest and by their typical category; rare rows are harder."""
    rows = [
        (grouping, group, 10 * group, 10 * group + 9, 50, 9, auc - 0.02 * (2 - group), 0.5, [0.0, 0.0])
        for grouping in ("rare fields", "typical")
        for group in range(3)
    ]
    names = ["grouping", "group", "low", "high", "rows", "clicks", "auc", "logloss", "deviations"]
    _write_table(run, BY_FREQUENCY, pd.DataFrame(rows, columns=names))


def _write_factors(run, cell, schema):
    """Singular values of W1: 1 at the start, 2 trained; of W2: the root of k/16, always. A single layer has none."""
    k = cell.inner_dim or 0
    rows = [
        (field.name, stage, factor, index, value)
        for field in schema.fields
        for stage, of_w1 in (("initial", 1.0), ("trained", 2.0))
        for factor, count, value in (("w1", k, of_w1), ("w2", cell.dim, (k / 16) ** 0.5))
        for index in range(count)
        if cell.arm.startswith("mlet")
    ]
    names = ["field", "stage", "factor", "index", "singular_value"]
    _write_table(run, FACTORS, pd.DataFrame(rows, columns=names))


def _write_overhead(path, dataset, model, config):
    rng = np.random.default_rng(0)
    rows = [
        (
            dataset,
            model,
            d,
            k,
            batch,
            "CPU, 1 of 2 threads",
            "torch",
            pair,
            2.0,
            2.0 * (1.1 + 0.001 * k + 0.01 * rng.random()),
        )
        for d in config["dims"]
        for k in config["inner_dims"]
        for batch in config["overhead"]["batch_sizes"]
        for pair in range(7)
        if k >= d
    ]
    names = ["dataset", "model", "dim", "inner_dim", "batch_size", "device", "software", "pair", "single_ms", "mlet_ms"]
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows, columns=names).to_parquet(path)
