"""Run folders from MLflow: what a report reads, where the folders themselves are not at hand."""

import json
import shutil
from pathlib import Path

from mlet_bench.errors import BenchError
from mlet_bench.files import fsync_tree, rename
from mlet_bench.tracking.artifacts import FOLDER, follow_artifacts
from mlet_bench.tracking.mapping import content_of_tree
from mlet_bench.tracking.profile import INDEX, PROFILE
from mlet_bench.tracking.store import KnownRuns, Store, prepare_mlflow, store_errors, store_uri

SYNC_AGAIN = "sync again where the run folders are, with this version of mlet-bench"
ADVICE = f"check MLFLOW_TRACKING_URI, and that the server serves artifacts; if they are lost, {SYNC_AGAIN}"


def restore(profile: str, out: Path | str) -> int:
    """Make the folder ``out`` hold of a profile what ``mlet-bench report`` reads, from an MLflow store alone.

    Every table of a report made from it equals that of the folders which were synced. Models are not in the store.

    Args:
        profile: the name of the configuration that was synced.
        out: made whole or not at all; the store is ``MLFLOW_TRACKING_URI``, else ``mlflow.db`` beside it.

    Returns:
        how many finished runs were restored.

    Raises:
        BenchError: ``out`` is there, the store cannot be read, or does not hold the profile or one of its runs whole.
    """
    out = Path(out).resolve()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BenchError(f"{out} is there already: give a folder that does not exist, nothing is overwritten")
    uri = store_uri(out)
    database = Path(uri.removeprefix("sqlite:///"))
    if uri.startswith("sqlite:///") and not database.exists():
        raise BenchError(f"{database} does not exist: set MLFLOW_TRACKING_URI to the store that holds {profile!r}")
    prepare_mlflow()
    part = out.with_name(f".{out.name}.partial")
    shutil.rmtree(part, ignore_errors=True)
    try:
        with store_errors(uri, "read", ADVICE):
            follow_artifacts(uri, database.resolve().parent / FOLDER, making=False)
            store = Store(uri, None)
            _download(uri, profile, _runs_of(store, profile), PROFILE + profile, part)
            index = json.loads((part / INDEX).read_text(encoding="utf-8"))
            for place, run_id in index.items():
                if ".." in Path(place).parts or Path(place).is_absolute():
                    raise BenchError(f"the store names a folder outside of {out} for run {run_id}: {place!r}")
            experiments = {f"{profile}/{place.split('/')[0]}" for place in index}
            runs = {experiment: _runs_of(store, experiment) for experiment in experiments}
            for place, run_id in index.items():
                experiment = f"{profile}/{place.split('/')[0]}"
                _download(uri, experiment, runs[experiment], run_id, part / "runs" / place)
        (part / INDEX).unlink()
        fsync_tree(part)
        if out.exists():
            out.rmdir()
        rename(part, out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return len(index)


def _runs_of(store: Store, experiment: str) -> KnownRuns:
    found = store.client.get_experiment_by_name(experiment)
    if found is None:
        raise BenchError(f"the store has no experiment {experiment!r}: bring the runs in with 'mlet-bench sync'")
    return store.runs_of(found.experiment_id)


def _download(uri: str, experiment: str, runs: KnownRuns, run_id: str, folder: Path) -> None:
    """The files of the one whole run with an id of ours, checked against the hash that was written with them."""
    from mlflow.artifacts import download_artifacts

    whole = {run.content: run.mlflow_id for run in runs.get(run_id, []) if run.content}
    if len(whole) != 1:
        raise BenchError(
            f"experiment {experiment!r} has {len(whole)} whole runs with id {run_id}, not one: {SYNC_AGAIN}"
        )
    ((content, mlflow_id),) = whole.items()
    folder.mkdir(parents=True)
    download_artifacts(run_id=mlflow_id, dst_path=str(folder), tracking_uri=uri)
    if content_of_tree(folder) != content:
        raise BenchError(
            f"the artifacts of run {run_id} in experiment {experiment!r} are not those that were synced: delete them "
            f"with 'mlflow runs delete --run-id {mlflow_id}' and {SYNC_AGAIN}"
        )
