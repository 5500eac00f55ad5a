"""Run folders from MLflow: what a report reads, where the folders themselves are not at hand."""

import json
import shutil
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

from mlet_bench.errors import BenchError
from mlet_bench.files import write_json
from mlet_bench.tracking.store import Store, prepare_mlflow, store_errors, store_uri
from mlet_bench.tracking.sync import PROFILE

ADVICE = "check MLFLOW_TRACKING_URI, and that the server serves artifacts"


def restore(profile: str, out: Path | str, progress: Callable[[str], None] | None = None) -> int:
    """Make the folder ``out`` hold of a profile what ``mlet-bench report`` reads, from an MLflow store alone.

    Every table of a report made from it equals that of the folders which were synced. Models are not in the store.

    Args:
        profile: the name of the configuration that was synced.
        out: made whole or not at all; the store is ``MLFLOW_TRACKING_URI``, else ``mlflow.db`` beside it.
        progress: called with one line for each run.

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
            runs_of = cache(partial(_runs_of, Store(uri, None)))
            mlflow_id = _only(runs_of, profile, PROFILE + profile)
            part.mkdir(parents=True)
            _download(uri, mlflow_id, part)
            index = json.loads((part / "index.json").read_text())
            for place, run_id in index["runs"].items():
                folder = part / "runs" / place
                folder.mkdir(parents=True)
                _download(uri, _only(runs_of, f"{profile}/{place.split('/')[0]}", run_id), folder)
                if progress:
                    progress(place)
        for place, why in index["failed"].items():
            (part / "runs" / place).mkdir(parents=True, exist_ok=True)
            write_json(part / "runs" / place / "failed.json", why)
        (part / "index.json").unlink()
        if out.exists():
            out.rmdir()
        part.rename(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return len(index["runs"])


def _runs_of(store: Store, experiment: str) -> dict[str, list[tuple[str, str | None]]]:
    found = store.client.get_experiment_by_name(experiment)
    if found is None:
        raise BenchError(f"the store has no experiment {experiment!r}: bring the runs in with 'mlet-bench sync'")
    return store.runs_of(found.experiment_id)


def _only(runs_of: Callable[[str], dict], experiment: str, run_id: str) -> str:
    """The MLflow id of the one whole run with an id of ours."""
    whole = [mlflow_id for mlflow_id, content in runs_of(experiment).get(run_id, []) if content]
    if len(whole) != 1:
        raise BenchError(
            f"experiment {experiment!r} has {len(whole)} whole runs with id {run_id}, not one: sync again where the "
            "run folders are"
        )
    return whole[0]


def _download(uri: str, mlflow_id: str, folder: Path) -> None:
    from mlflow.artifacts import download_artifacts

    download_artifacts(run_id=mlflow_id, dst_path=str(folder), tracking_uri=uri)
