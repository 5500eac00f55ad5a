"""What a running DAG has finished, a line each, and a bar on a terminal: for its quiet way."""

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mlet_bench.config import Cell, cells
from mlet_bench.errors import BenchError
from mlet_bench.runs import FAILED, overhead_file
from mlet_bench.spec import DatasetSchema
from mlet_bench.stages.status import cell_line, changed_at, finished_at, last_result, runs_of, time_left

SECONDS = 2.0  # between two looks


class Follower:
    """Looks at the files that jobs leave, in a thread of its own: no job has to report, on whatever machine it runs.

    Args:
        config: checked.
        results: ``results/<profile>``.

    Example::

        follower = Follower(config, Path("results/smoke"))
        follower.start()
        ...
        follower.stop("report: results/smoke/report.html")
    """

    def __init__(self, config: dict[str, Any], results: Path):
        self.config, self.results = config, results
        self.runs = {cell: runs_of(config, results, cell) for cell in cells(config)}
        self.finished = {cell: when for cell in self.runs if (when := self._finished(cell))}
        self._seen = {path: changed_at(path) for path in self._watched()}
        self._bar = tqdm(total=len(self.runs), initial=len(self.finished), unit="cell", disable=True)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._bar = tqdm(total=len(self.runs), initial=len(self.finished), unit="cell", disable=None)
        self._thread.start()

    def stop(self, last: str) -> None:
        """Print what has been finished since the last look, and a last line."""
        if self._thread.is_alive():
            self._stopped.set()
            self._thread.join()
        self._print()
        self._bar.close()
        print(last, file=sys.stderr, flush=True)

    def news(self) -> Iterator[str]:
        """A line for whatever has been finished, or has failed, since the last call."""
        now = {path: changed_at(path) for path in self._seen}
        changed = {path for path, when in now.items() if when not in (self._seen[path], None)}
        made = {path for path in changed if self._seen[path] is None}  # Snakemake touches what a job has made
        self._seen = now
        for name in self.config["datasets"]:
            if self._schema(name) in made:
                yield self._prepared(name)
        for cell, runs in self.runs.items():
            when = self._finished(cell)
            if when is None and any(folder / FAILED in changed for _, folder in runs):
                when = finished_at(runs)  # once the seeds beside the failed one are through
            if when is None:
                self.finished.pop(cell, None)  # not yet, or its job has begun again
            elif self.finished.get(cell) != when:
                self.finished[cell] = when
                yield f"{cell_line(cell, runs)} · {self._how_far()}"
        for path in (path for path in made if path.suffix == ".parquet"):
            yield f"{path.parent.name} {path.stem}: steps timed"

    def _how_far(self) -> str:
        left = time_left(self.config, self.finished, [cell for cell in self.runs if cell not in self.finished])
        return f"{len(self.finished)} of {len(self.runs)}" + (f" · {left} left" if left else "")

    def _prepared(self, name: str) -> str:
        try:
            rows = sum(DatasetSchema.read(self.results / "data" / name).rows.values())
        except BenchError as error:
            return f"{name}: {error}"
        return f"{name}: {rows:,} rows prepared"

    def _follow(self) -> None:
        while not self._stopped.wait(SECONDS):
            self._print()

    def _print(self) -> None:
        for line in self.news():
            self._bar.write(line, file=sys.stderr)
            sys.stderr.flush()
        self._bar.n = len(self.finished)
        self._bar.set_description(self._timing(), refresh=True)

    def _timing(self) -> str:
        """How far the timings at the end are, from the log of the job that takes them; for the bar alone."""
        for log in (self.results / "logs").glob("*/*/overhead.log"):
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
            if lines and lines[-1].startswith("timing "):
                return lines[-1]
        return ""

    def _schema(self, name: str) -> Path:
        return self.results / "data" / name / "schema.json"

    def _finished(self, cell: Cell) -> float | None:
        """When a cell was finished; its index is what its job writes last."""
        index = self.results / "runs" / cell.folder / "runs.json"
        return last_result(self.runs[cell]) if index.exists() else None

    def _watched(self) -> Iterator[Path]:
        for name in self.config["datasets"]:
            yield self._schema(name)
            yield from (overhead_file(self.results, name, model) for model in self.config["models"])
        yield from (folder / FAILED for runs in self.runs.values() for _, folder in runs)
