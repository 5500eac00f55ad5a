"""``mlflow.html``: where in MLflow's interface each run is.

The report links to it by run id, since it is made before a run has a place in a store, and whether or not it gets one.
"""

from html import escape
from pathlib import Path

from mlet_bench.files import atomic
from mlet_bench.tracking.store import KnownRuns, without_password

PAGE = "mlflow.html"
LOCAL = "http://127.0.0.1:5000"  # `mlflow ui` on a store without a server


def write_links(results: Path, uri: str, runs: dict[str, KnownRuns]) -> None:
    """Write the page into ``results/<profile>``.

    Args:
        uri: of the store.
        runs: id of an experiment → its runs.
    """
    served = uri.startswith("http")
    base = without_password(uri).rstrip("/") if served else LOCAL
    start = (
        "" if served else f" Start it with <code>mlflow ui --backend-store-uri {escape(without_password(uri))}</code>."
    )
    items = [
        f'<li id="{escape(run_id)}"><a href="{escape(base)}/#/experiments/{experiment}/runs/{known[0].mlflow_id}">'
        f"{escape(run_id)}</a></li>"
        for experiment, of in runs.items()
        for run_id, known in sorted(of.items())
    ]
    style = "<style>:root { color-scheme: light dark; } :target { outline: 2px solid; }</style>"
    head = f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>Runs in MLflow</title>{style}\n'
    with atomic(results / PAGE) as partial:
        text = (
            f"{head}<p>Each run by its id, in MLflow's interface.{start}</p>\n<ul>\n" + "\n".join(items) + "\n</ul>\n"
        )
        partial.write_text(text, encoding="utf-8")
