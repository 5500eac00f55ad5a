"""What the report says, free of markup: a title, notes, and sections of text, tables and figures.

``summary.md`` and ``report.html`` are two renderings of the same ``Report`` and cannot disagree.
"""

import json

import pandas as pd

from mlet_bench.analysis.statistics import DECISIVE_PAIRS, EQUIVALENT_AUC, MATERIAL_AUC
from mlet_bench.reporting.collect import Results
from mlet_bench.reporting.document import NOTHING, Report, Section, Table, or_nothing, signed
from mlet_bench.reporting.evidence_sections import longer_section, rare_section, reduction_section
from mlet_bench.reporting.ledger import claims_section
from mlet_bench.reporting.tables import PAPER_OVERHEAD, overhead_means, rank_means
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
    warning = (
        f"The rows of {_listed(synthetic)} were made by the generator, not measured: "
        "no claim of the paper is decided by them."
        if synthetic
        else ""
    )
    sections = [
        claims_section(tables["claims"]),
        _quality(results, tables, figures),
        reduction_section(tables["reduction"]),
        _curves(figures),
        longer_section(tables["longer"]),
        rare_section(tables["rare"]),
        _overhead(tables["overhead"], figures),
        _ranks(tables["spectrum"], figures),
        _what_ran(results),
        _not_done(results),
        _provenance(results),
    ]
    return Report(
        title=f"Multi-Layer Embedding Training: {results.profile}{mark}",
        warning=warning,
        lead=_lead(results),
        sections=[section for section in sections if section is not None],
    )


def _lead(results: Results) -> list[str]:
    """Three sentences: what was compared, how much of it is there, how to read it."""
    config, runs = results.config, results.runs
    done = int((runs["status"] == "done").sum())
    cells = runs.loc[runs["status"] == "done", ["dataset", "model", "cell"]].drop_duplicates()
    arms = _listed([name for name in _arms(config) if name != "single"])
    return [
        f"This report compares embedding tables trained as one n×d table (single) with {arms or 'no other arm'} on "
        f"{_listed(list(config['datasets']))}, at d = {_numbers(config['dims'])}"
        + (f" and k = {_numbers(config['inner_dims'])}." if arms else "."),
        f"{done} of {len(runs)} runs are done, in {len(cells)} cells"
        + (" with one seed each, so no interval can be given." if len(config["seeds"]) == 1 else "."),
        "Every number is from the test split, scored once with the collapsed n×d model; differences pair equal seeds.",
    ]


def _quality(results: Results, tables: dict[str, pd.DataFrame], figures: list[str]) -> Section:
    text = [
        "Means over seeds with 95% intervals (Student's t); Δ is the mean of the paired differences from single at the "
        "same d, with a 95% bootstrap interval. A gain is a Δ AUC above 0 and a Δ LogLoss below 0. "
        f"Of AUC, {MATERIAL_AUC:g} counts as material and ±{EQUIVALENT_AUC:g} as equal; with fewer than "
        f"{DECISIVE_PAIRS} pairs a difference is undecided."
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
    header = ["arm", "d", "k", "seeds", "AUC", "LogLoss", "Δ AUC", "reading", "Δ LogLoss", "MB train", "MB infer"]
    found = {(row["dataset"], row["model"], row["cell"], row["metric"]): row for row in differences.to_dict("records")}
    rows = []
    for cell in cells.to_dict("records"):
        row = [cell["arm"], str(cell["dim"]), or_nothing(cell["inner_dim"]), _seeds(cell)]
        if not cell["done"]:
            rows.append([*row, *["failed" if cell["failed"] else "missing"] * 2, *[NOTHING] * 5])
            continue
        key = cell["dataset"], cell["model"], cell["cell"]
        auc, logloss = found.get((*key, "auc")), found.get((*key, "logloss"))
        row += [_plus_minus(cell, "auc"), _plus_minus(cell, "logloss")]
        row += [_difference(auc), auc["reading"] if auc and auc["pairs"] else "", _difference(logloss)]
        row += [_megabytes(cell["training_tables_bytes"]), _megabytes(cell["inference_tables_bytes"])]
        rows.append(row)
    return Table(header, rows, frozenset({1, 2, 3, 4, 5, 6, 8, 9, 10}))


def _curves(figures: list[str]) -> Section | None:
    if "curves" not in figures:
        return None
    caption = "Validation AUC over the training rows seen, means over seeds; the first third may lie below the axis."
    return Section("Learning curves", [], [("curves", caption)])


def _overhead(table: pd.DataFrame, figures: list[str]) -> Section:
    if table.empty:
        return Section("Training time", ["Not measured: no timing of training steps is there."])
    text = [
        "Time of one training step of MLET over one of single at the same d, timed in turn in one process: medians of "
        "the paired ratios, with their quartiles."
    ]
    for row in overhead_means(table).to_dict("records"):
        text.append(
            f"{row['dataset']}, {row['model'].upper()}, B = {row['batch_size']}, {row['device']}: "
            f"{_percent(row['ratio'])} on average over {row['cells']} (d, k), beside the paper's {PAPER_OVERHEAD:+.0%}."
        )
    rows = [
        [
            *(row["dataset"], row["device"], str(row["batch_size"]), str(row["dim"]), str(row["inner_dim"])),
            *(str(row["pairs"]), f"{row['single_ms']:.3f}", f"{row['mlet_ms']:.3f}", _percent(row["ratio"])),
            f"{_percent(row['ratio_q25'])} to {_percent(row['ratio_q75'])}",
        ]
        for row in table.to_dict("records")
    ]
    header = ["data", "device", "B", "d", "k", "pairs", "single ms", "MLET ms", "extra", "quartiles"]
    shown = (
        [("overhead", "Extra time of an MLET step; bars are quartiles over pairs.")] if "overhead" in figures else []
    )
    return Section("Training time", text, shown, [("", Table(header, rows, frozenset(range(2, 10))))])


def _ranks(spectrum: pd.DataFrame, figures: list[str]) -> Section:
    if spectrum.empty:
        return Section("Effective rank", ["Not computed: no run has a spectrum."])
    means = rank_means(spectrum)
    keys = ["dataset", "model", "cell"]
    by_kind = {(*(row[key] for key in keys), row["stage"], row["weighting"]): row for row in means.to_dict("records")}
    rows = []
    for row in means[(means["stage"] == "trained") & (means["weighting"] == "uniform")].to_dict("records"):
        cell = tuple(row[key] for key in keys)
        initial, weighted = by_kind.get((*cell, "initial", "uniform")), by_kind.get((*cell, "trained", "training"))
        lower = NOTHING if row["arm"] == "single" or not row["compared"] else f"{row['lower']} of {row['compared']}"
        rows.append(
            [
                *(row["dataset"], row["arm"], str(row["dim"]), or_nothing(row["inner_dim"])),
                f"{initial['effective_rank']:.2f}" if initial else NOTHING,
                *(f"{row['effective_rank']:.2f}", lower),
                f"{weighted['effective_rank']:.2f}" if weighted else NOTHING,
                f"{row['stable_rank']:.2f}",
            ]
        )
    header = ["data", "arm", "d", "k", "initial", "trained", "below single", "weighted", "stable rank"]
    text = [
        "exp(entropy of the singular values normalised to sum 1) of each collapsed n×d table, means over fields and "
        "seeds. 'below single' counts the fields whose rank is below that of single at the same d; 'weighted' counts "
        "each row as often as it occurs in training."
    ]
    caption = "Effective rank of the trained tables as a share of d."
    shown = [("effective_rank", caption)] if "effective_rank" in figures else []
    return Section("Effective rank", text, shown, [("", Table(header, rows, frozenset(range(2, 9))))])


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
    text = [f"Training: {training}. Seeds: {_numbers(results.config['seeds'])}."]
    for row in results.tuned[results.tuned["chosen"].astype(bool)].to_dict("records") if len(results.tuned) else ():
        text.append(
            f"{row['dataset']}, {row['cell']}: of the embedding learning rates tried, {row['factor']:g} times the base "
            f"one was best on validation (AUC {row['val_auc']:.5f}, mean over seeds)."
        )
    return Section("What ran", text, [], [("Data sets", data), ("Arms", arms)])


def _not_done(results: Results) -> Section:
    open_runs = results.open
    if open_runs.empty:
        return Section("Runs that are not done", ["None: every run of the configuration is done."])
    rows = [
        [row["dataset"], row["model"], row["cell"], str(row["seed"]), row["status"], row["reason"]]
        for row in open_runs.to_dict("records")
    ]
    table = Table(["data", "model", "cell", "seed", "status", "reason"], rows, frozenset({3}))
    text = [f"{len(rows)} runs are failed or missing; nothing stands in for them above."]
    return Section("Runs that are not done", text, [], [("", table)])


def _provenance(results: Results) -> Section:
    done = results.runs[results.runs["status"] == "done"]
    rows = [[f"data {name}", f"fingerprint {schema.fingerprint}"] for name, schema in results.schemas.items()]
    commits = done[["commit", "dirty"]].drop_duplicates().to_dict("records")
    rows += [["code", _commit(row)] for row in commits]
    rows += [["device", device] for device in sorted(done["device"].dropna().unique())]
    for versions in sorted(done["versions"].dropna().unique()):
        rows.append(["versions", ", ".join(f"{name} {version}" for name, version in json.loads(versions).items())])
    folder = f"results/{results.profile}"
    text = [
        f"To make all of this again: snakemake --cores 2 --configfile {folder}/config.json; the report alone, from the "
        f"run folders: mlet-bench report {folder}. Every number shown is in tables/, as CSV and Parquet."
    ]
    if len(commits) > 1:
        text.append("The runs come from more than one state of the code.")
    return Section("Where the numbers come from", text, [], [("", Table(["what", "which"], rows))])


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


def _megabytes(size: float) -> str:
    return f"{size / 1e6:,.3g}" if size < 1e8 else f"{size / 1e6:,.0f}"


def _percent(ratio: float) -> str:
    return f"{100 * (ratio - 1):+.1f}%"


def _numbers(values: list[int]) -> str:
    return ", ".join(map(str, values))


def _listed(names: list[str]) -> str:
    return ", ".join(names[:-1]) + (" and " if len(names) > 1 else "") + names[-1] if names else ""
