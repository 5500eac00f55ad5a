"""What the report says, free of markup: a title, notes, and sections of text, tables and figures.

``summary.md`` and ``report.html`` are two renderings of the same ``Report`` and cannot disagree.
"""

import json

import pandas as pd

from mlet_bench.analysis.statistics import DECISIVE_PAIRS, EQUIVALENT_AUC, MATERIAL_AUC
from mlet_bench.reporting.answer import answer, main_section
from mlet_bench.reporting.collect import Results
from mlet_bench.reporting.cost_sections import cost_section
from mlet_bench.reporting.document import (
    NOTHING,
    Report,
    Section,
    Table,
    counted,
    listed,
    megabytes,
    or_nothing,
    signed,
)
from mlet_bench.reporting.evidence_sections import longer_section, rare_section, reduction_section, sampling_section
from mlet_bench.reporting.ledger import claims_section, edge_of, partial_datasets
from mlet_bench.reporting.why_sections import controls_section, rank_section, reweighting_section
from mlet_bench.spec import ARMS


def make_report(results: Results, tables: dict[str, pd.DataFrame], figures: list[str]) -> Report:
    """The report of one profile.

    Args:
        tables: those of ``make_tables``.
        figures: names of the figures that were drawn.
    """
    synthetic = [name for name in results.config["datasets"] if results.planted(name) is not None]
    every = len(synthetic) == len(results.config["datasets"])
    mark = "" if not synthetic else " (synthetic data)" if every else " (in part synthetic data)"
    parts = partial_datasets(results)
    warnings = [
        f"The rows of {listed(synthetic)} were made by the generator, not measured: "
        "no claim of the paper is decided by them."
        if synthetic
        else "",
        f"Only a part of the rows of {listed(parts)} was used: no claim about quality is decided by it."
        if parts
        else "",
    ]
    sections = [
        main_section(results.runs, results.config, _arms(results.config), tables["claims"], figures),
        claims_section(tables["claims"], results.tuned),
        _quality(results, tables, figures),
        sampling_section(tables["sampling"]),
        reduction_section(tables["reduction"], figures),
        controls_section(tables["differences"]),
        cost_section(
            tables["overhead"], results.untimed, tables["cells"], results.config["training"]["optimizer"], figures
        ),
        rank_section(tables["spectrum"], figures),
        reweighting_section(tables["reweighting"], figures),
        rare_section(tables["rare"], figures),
        _curves(figures),
        longer_section(tables["longer"], figures),
        _what_ran(results),
        _not_done(results),
        _provenance(results),
    ]
    return Report(
        title=f"Multi-Layer Embedding Training: {results.profile}{mark}",
        warning=" ".join(filter(None, warnings)),
        lead=answer(tables["claims"], tables["cells"]),
        sections=[section for section in sections if section is not None],
    )


def _quality(results: Results, tables: dict[str, pd.DataFrame], figures: list[str]) -> Section:
    text = [
        "Means over seeds with 95% intervals (Student's t); Δ is the mean of the paired differences from single at the "
        "same d, with a 95% bootstrap interval. A gain is a Δ AUC above 0 and a Δ LogLoss below 0. "
        f"Of AUC, {MATERIAL_AUC:g} counts as material and ±{EQUIVALENT_AUC:g} as equal; with fewer than "
        f"{DECISIVE_PAIRS} pairs a difference is undecided. MB is that of the deployed tables."
    ]
    largest = results.runs["max_logit_difference"].max()
    if pd.notna(largest):
        text.append(f"Collapsing changed no logit of a run by more than {largest:.1e}.")
    shown = []
    caption = "Test AUC (top) and LogLoss (bottom) over the embedding width d; bars span the seeds, lowest to highest."
    if "quality_over_d" in figures:
        shown.append(("quality_over_d", caption))
    made = []
    for (dataset, model), cells in tables["cells"].groupby(["dataset", "model"], sort=False):
        made.append((f"{dataset}, {model.upper()}", _cells(cells, tables["differences"])))
    return Section("Quality over embedding width", text, shown, made)


def _cells(cells: pd.DataFrame, differences: pd.DataFrame) -> Table:
    header = ["arm", "d", "k", "seeds", "AUC", "LogLoss", "Δ AUC", "reading", "Δ LogLoss", "MB"]
    found = {(row["dataset"], row["model"], row["cell"], row["metric"]): row for row in differences.to_dict("records")}
    rows = []
    for cell in cells.to_dict("records"):
        row = [cell["arm"], str(cell["dim"]), or_nothing(cell["inner_dim"]), _seeds(cell)]
        if not cell["done"]:
            rows.append([*row, *["failed" if cell["failed"] else "missing"] * 2, *[NOTHING] * 4])
            continue
        key = cell["dataset"], cell["model"], cell["cell"]
        auc, logloss = found.get((*key, "auc")), found.get((*key, "logloss"))
        row += [_plus_minus(cell, "auc"), _plus_minus(cell, "logloss")]
        row += [_difference(auc), auc["reading"] if auc and auc["pairs"] else "", _difference(logloss)]
        row.append(megabytes(cell["inference_tables_bytes"]))
        rows.append(row)
    return Table(header, rows, frozenset({1, 2, 3, 4, 5, 6, 8, 9}))


def _curves(figures: list[str]) -> Section | None:
    if "curves" not in figures:
        return None
    caption = "Validation AUC over the training rows seen, means over seeds; the first third may lie below the axis."
    return Section("Learning curves", [], [("curves", caption)])


def _what_ran(results: Results) -> Section:
    rows = []
    for name in results.config["datasets"]:
        schema = results.schemas.get(name)
        if schema is None:
            rows.append([name, "not prepared", *[NOTHING] * 6])
            continue
        planted = schema.source.get("planted")
        best = f"{planted['best_auc']:.4f}" if planted and planted.get("best_auc") else NOTHING
        counts = [f"{schema.rows.get(split, 0):,}" for split in ("train", "val", "test")]
        rows.append(
            [
                *(name, "synthetic" if planted is not None else "genuine", *counts),
                *(str(len(schema.fields)), f"{sum(schema.table_sizes):,}", best),
            ]
        )
    data = Table(
        ["data", "rows are", "train", "val", "test", "fields", "table rows", "best possible AUC"],
        rows,
        frozenset(range(2, 8)),
    )
    arms = Table(["arm", "what it separates"], [[name, ARMS[name].purpose] for name in _arms(results.config)])
    training = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in results.config["training"].items())
    text = [f"Training: {training}. Seeds: {', '.join(map(str, results.config['seeds']))}."]
    made = [("Data sets", data), ("Arms", arms)]
    if len(results.tuned):
        made.append(("Embedding learning rates tried: validation AUC, mean over seeds", _tuned(results.tuned)))
    return Section("What ran", text, [], made)


def _tuned(tuned: pd.DataFrame) -> Table:
    """One row a tuned cell, one column a candidate; the choice last."""
    factors = sorted(tuned["factor"].unique())
    rows = []
    for (dataset, cell), part in tuned.groupby(["dataset", "cell"], sort=False):
        reached = part.set_index("factor")["val_auc"].astype(float).reindex(factors)
        chosen = float(part.loc[part["chosen"].astype(bool), "factor"].iloc[0])
        edge = f" (the {end} tried)" if (end := edge_of(part)) else ""
        values = [NOTHING if pd.isna(value) else f"{value:.5f}" for value in reached]
        rows.append([dataset, cell, *values, f"{chosen:g}{edge}"])
    header = ["data", "cell", *(f"× {factor:g}" for factor in factors), "chosen"]
    return Table(header, rows, frozenset(range(2, len(header) - 1)))


def _not_done(results: Results) -> Section:
    open_runs = results.open
    if open_runs.empty:
        return Section("Runs that are not done", ["None: every run of the configuration is done."])
    rows = [
        [row["dataset"], row["model"], row["cell"], str(row["seed"]), row["status"], row["reason"]]
        for row in open_runs.to_dict("records")
    ]
    table = Table(["data", "model", "cell", "seed", "status", "reason"], rows, frozenset({3}))
    counts = open_runs["status"].value_counts()
    said = [f"{counted(int(counts[status]), 'run')} {status}" for status in ("failed", "missing") if status in counts]
    text = [f"{listed(said)}; nothing stands in for {'it' if len(rows) == 1 else 'them'} above."]
    return Section("Runs that are not done", text, [], [("", table)])


def _provenance(results: Results) -> Section:
    done = results.runs[results.runs["status"] == "done"]
    rows = [[f"data {name}", f"fingerprint {schema.fingerprint}"] for name, schema in results.schemas.items()]
    commits = done[["commit", "dirty"]].drop_duplicates().to_dict("records")
    rows += [["code", _commit(row)] for row in commits]
    rows += [["device", device] for device in sorted(done["device"].dropna().unique())]
    for versions in sorted(done["versions"].dropna().unique()):
        rows.append(["versions", ", ".join(f"{name} {version}" for name, version in json.loads(versions).items())])
    if len(done):
        rows.append(["training time", f"{_duration(float(done['seconds'].sum()))} in {counted(len(done), 'run')}"])
    folder = f"results/{results.profile}"
    text = [
        f"To make all of this again: snakemake --cores 2 --configfile {folder}/config.json; the report alone, from the "
        f"run folders: mlet-bench report {folder}. Every number shown is in tables/, as CSV and Parquet; the rules of "
        "the verdicts are in claims.md.",
        "A run's id names its MLflow run too, in the tag mlet_bench.run_id.",
    ]
    if len(commits) > 1:
        text.append("The runs come from more than one state of the code.")
    made = [("", Table(["what", "which"], rows)), ("Runs", _runs(results.runs))]
    return Section("Where the numbers come from", text, [], made)


def _runs(runs: pd.DataFrame) -> Table:
    rows = [
        [
            *(row["dataset"], row["cell"], str(row["seed"]), or_nothing(row["run_id"]), row["status"]),
            *(NOTHING if pd.isna(row[name]) else f"{row[name]:.5f}" for name in ("test_auc", "test_logloss")),
            NOTHING if pd.isna(row["seconds"]) else _duration(row["seconds"]),
        ]
        for row in runs.to_dict("records")
    ]
    header = ["data", "cell", "seed", "run id", "status", "AUC", "LogLoss", "training time"]
    return Table(header, rows, frozenset({2, 5, 6, 7}), folded=f"{counted(len(rows), 'row')}, in tables/runs.csv")


def _duration(seconds: float) -> str:
    """``12.5 s``, ``3.2 min``, ``4.1 h``."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def _arms(config: dict) -> list[str]:
    """The arms of the main grid and of the controls, each once."""
    controls = config.get("controls", {})
    return list(dict.fromkeys(config["arms"] + (controls["arms"] if controls.get("enabled") else [])))


def _commit(row: dict) -> str:
    if pd.isna(row["commit"]):
        return "commit unknown (installed without a checkout)"
    return f"commit {row['commit'][:12]}" + (" with uncommitted changes" if row["dirty"] is True else "")


def _seeds(cell: dict) -> str:
    return str(cell["done"]) if cell["done"] == cell["seeds"] else f"{cell['done']} of {cell['seeds']}"


def _plus_minus(cell: dict, metric: str) -> str:
    mean, low, high = (cell[name] for name in (metric, f"{metric}_low", f"{metric}_high"))
    return f"{mean:.5f}" if pd.isna(low) else f"{mean:.5f} ± {(high - low) / 2:.5f}"


def _difference(row: dict | None) -> str:
    if row is None:
        return NOTHING
    if not row["pairs"]:
        return "no pair"
    return signed(row["difference"], row["low"], row["high"])
