"""The one MLflow run of a profile: what a report reads and no finished run has.

Its artifacts lie as in the results folder: the configuration, the data sets' schemas, the timings, and the small files
of the runs that failed or are not finished; ``index.json`` says which finished run belongs where.
"""

import shutil
from pathlib import Path
from typing import Any

from mlet_bench.config import run_folders
from mlet_bench.files import write_json
from mlet_bench.runs import FAILED, overhead_file
from mlet_bench.tracking.mapping import RUN_ID, artifacts_of, content_of_tree, files_below, sizes_of
from mlet_bench.tracking.store import Store

PROFILE = "profile:"  # begins the run's id; the profile's name follows
INDEX = "index.json"


def put_profile(store: Store, results: Path, config: dict[str, Any], ids: dict[str, str], copies: Path) -> None:
    """Make the store hold the run of a profile as it is now.

    Args:
        ids: place below ``runs/`` → id, of the runs that the store holds.
        copies: an empty folder.
    """
    profile = config["profile"]
    _copy(results / "config.json", copies)
    for name in config["datasets"]:
        _copy(results / "data" / name / "schema.json", copies / "data" / name)
        for model in config["models"]:
            _copy(overhead_file(results, name, model), overhead_file(copies, name, model).parent)
        if not (results / "data" / name / "schema.json").is_file():
            for log in (results / "logs" / name).glob("*.log"):  # why it is not prepared
                _copy(log, copies / "logs" / name)
    for cell, _, folder in run_folders(config, results):
        if (place := f"{cell.folder}/{folder.name}") not in ids:
            copy_small_files(folder, copies / "runs" / place)
            _copy(folder / FAILED, copies / "runs" / place)
    write_json(copies / INDEX, ids)
    experiment = store.experiment(profile)

    def write() -> str:
        tags = {RUN_ID: PROFILE + profile, "mlflow.source.name": "mlet-bench"}
        mlflow_id = store.client.create_run(experiment, run_name=profile, tags=tags).info.run_id
        store.client.log_artifacts(mlflow_id, str(copies))
        store.client.set_terminated(mlflow_id, status="FINISHED")
        return mlflow_id

    files = sizes_of(copies, files_below(copies))
    store.put(experiment, PROFILE + profile, content_of_tree(copies), write, files)


def copy_small_files(folder: Path, to: Path) -> None:
    """Copy those of ``ARTIFACTS`` that a run folder has."""
    for file in artifacts_of(folder):
        _copy(file, to)


def _copy(file: Path, folder: Path) -> None:
    """Copy a file if it is there: a job that begins removes its outputs."""
    if file.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(file, folder / file.name)
        except FileNotFoundError:
            return
