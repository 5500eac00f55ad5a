"""Where the numbers come from: data, arms, what was tuned, the runs that are not done, and the code that ran."""

import json
from typing import Any

import pandas as pd

from mlet_bench.config import OWN_MODEL
from mlet_bench.display.document import DATASET, MODEL, Column, Row, Section, Table, cell_folder, number, show, words
from mlet_bench.display.text import NOTHING, commas, counted, duration, listed, or_nothing
from mlet_bench.models import model_title
from mlet_bench.tables.cells import records
from mlet_bench.tables.results import Results

CELL = Column("cell", lambda row: row["cell"], numeric=False, link=cell_folder)
RUN = Column("cell", lambda row: row["cell"], numeric=False, link=lambda row: f"{cell_folder(row)}seed{row['seed']}/")
# In MLflow: a sync writes that page.
RUN_ID = Column(
    "run id",
    lambda row: or_nothing(row["run_id"]),
    numeric=False,
    link=lambda row: "" if pd.isna(row["run_id"]) else f"mlflow.html#{row['run_id']}",
)


def what_ran(results: Results) -> Section:
    """Data sets, and what tuned arms tried."""
    config = results.config
    models = "; ".join(f"{model_title(name)} {_settings(hyper)}".strip() for name, hyper in config["models"].items())
    done, seeds = int((results.runs["status"] == "done").sum()), commas(config["seeds"])
    text = [
        f"{done:,} of {counted(len(results.runs), 'run')} are done"
        + (", with one seed each, so no interval can be given. " if len(config["seeds"]) == 1 else ". ")
        + "Every number is from the test split, scored once with the deployed model; differences pair equal seeds.",
        f"Training: {_settings(config['training'])}. Models: {models}. Seeds: {seeds}.",
    ]
    made = [("Data sets", _data_sets(results))]
    if len(results.tuned):
        made.append(("Embedding learning rates tried: validation AUC, mean over seeds", _tuned(results.tuned)))
    return Section("What ran", text, tables=made)


def _settings(values: dict[str, Any]) -> str:
    return commas(f"{name.replace('_', ' ')} {value}" for name, value in values.items())


def _data_sets(results: Results) -> Table:
    rows = []
    for name in results.config["datasets"]:
        schema = results.schemas.get(name)
        own = results.config["datasets"][name]["source"] == OWN_MODEL
        row: Row = {"dataset": name, "kind": "the model's own" if own else "not prepared"}
        if schema is not None:
            planted = schema.source.get("planted")
            row |= {"kind": "genuine" if planted is None else "synthetic", "best": (planted or {}).get("best_auc")}
            row |= {split: schema.rows.get(split, 0) for split in ("train", "val", "test")}
            row |= {"fields": len(schema.fields), "rows": sum(schema.table_sizes)}
        rows.append(row)
    counts = {"train": "train", "val": "val", "test": "test", "fields": "fields", "rows": "table rows"}
    frame = pd.DataFrame(rows, columns=["dataset", "kind", *counts, "best"])
    columns = [
        *(DATASET, words("rows are", "kind")),
        *(number(heading, name, ",.0f") for name, heading in counts.items()),
        number("best possible AUC", "best", ".4f"),
    ]
    return show(frame, columns)


def edge_of(candidates: pd.DataFrame) -> str:
    """At which end of the list a tuned cell chose, where one beyond might be better still: largest, smallest, or ""."""
    factors, chosen = candidates["factor"], candidates.loc[candidates["chosen"].astype(bool), "factor"]
    if len(candidates) < 2 or chosen.empty:
        return ""
    return {factors.max(): "largest", factors.min(): "smallest"}.get(chosen.iloc[0], "")


def _tuned(tuned: pd.DataFrame) -> Table:
    """One row a tuned cell, one column a candidate; the choice last."""
    factors = sorted(tuned["factor"].unique())
    rows = []
    for key, part in tuned.groupby(["dataset", "model", "cell"], sort=False):
        edge = f" (the {end} tried)" if (end := edge_of(part)) else ""
        chosen = float(part.loc[part["chosen"].astype(bool), "factor"].iloc[0])
        reached = dict(zip(part["factor"], part["val_auc"].astype(float)))
        rows.append(dict(zip(("dataset", "model", "cell"), key)) | reached | {"choice": f"{chosen:g}{edge}"})
    tried = [number(f"× {factor:g}", factor, ".5f") for factor in factors]
    return show(pd.DataFrame(rows), [DATASET, MODEL, CELL, *tried, words("chosen", "choice")], csv="tuned")


def not_done(results: Results) -> Section:
    """The runs that failed or are missing, and why."""
    title, runs = "Runs that are not done", results.open_runs
    if runs.empty:
        return Section(title, ["None: every run of the configuration is done."])
    counts = runs["status"].value_counts()
    said = [f"{counted(int(counts[status]), 'run')} {status}" for status in ("failed", "missing") if status in counts]
    text = [f"{listed(said)}; nothing stands in for {'it' if len(runs) == 1 else 'them'} above."]
    columns = [
        *(DATASET, words("model", "model"), words("cell", "cell"), number("seed", "seed")),
        *(words("status", "status"), words("reason", "reason")),
    ]
    return Section(title, text, tables=[("", show(runs, columns))])


def provenance(results: Results) -> Section:
    """Data, code, devices and versions; how to make it all again; every run."""
    done = results.runs[results.runs["status"] == "done"]
    rows = [[f"data {name}", f"fingerprint {schema.fingerprint}"] for name, schema in results.schemas.items()]
    commits = records(done[["commit", "dirty"]].drop_duplicates())
    rows += [["code", _commit(row)] for row in commits]
    rows += [["device", device] for device in sorted(done["device"].dropna().unique())]
    for versions in sorted(done["versions"].dropna().unique()):
        rows.append(["versions", ", ".join(f"{name} {version}" for name, version in json.loads(versions).items())])
    if len(done):
        rows.append(["training time", f"{duration(float(done['seconds'].sum()))} in {counted(len(done), 'run')}"])
    folder = f"results/{results.profile}"
    own = any(dataset["source"] == OWN_MODEL for dataset in results.config["datasets"].values())
    again = "the same call of sweep" if own else f"snakemake --cores 2 --configfile {folder}/config.json"
    text = [
        f"To make all of this again: {again}; the report alone, from the run folders: mlet-bench report {folder}. "
        "Every number shown is in tables/, as CSV and Parquet; the rules of the verdicts are in claims.md.",
        "A run's id names its MLflow run too, in the tag mlet_bench.run_id; it leads there once a sync has been.",
    ]
    if len(commits) > 1:
        text.append("The runs come from more than one state of the code.")
    columns = [
        *(DATASET, MODEL, RUN, number("seed", "seed"), RUN_ID),
        *(words("status", "status"), number("AUC", "test_auc", ".5f"), number("LogLoss", "test_logloss", ".5f")),
        Column("training time", lambda row: NOTHING if pd.isna(row["seconds"]) else duration(row["seconds"])),
    ]
    runs = show(results.runs, columns, folded=counted(len(results.runs), "row"), csv="runs")
    return Section("Where the numbers come from", text, tables=[("", Table(["what", "which"], rows)), ("Runs", runs)])


def _commit(row: Row) -> str:
    if pd.isna(row["commit"]):
        return "commit unknown (installed without a checkout)"
    return f"commit {row['commit'][:12]}" + (" with uncommitted changes" if row["dirty"] is True else "")
