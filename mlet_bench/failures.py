"""``failed.json`` in a run folder: which stage failed, and why, for the report and for MLflow."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mlet_bench.errors import BenchError, RunsFailed, out_of_memory
from mlet_bench.files import read_json, write_json

FAILED = "failed.json"
# A stage that passes takes away the failures of those that run after it on its result, and no other's.
FOLLOWING = {
    "train": ("train", "collapse", "evaluate", "compare", "spectrum"),
    "collapse": ("collapse", "evaluate", "compare", "spectrum"),
    "evaluate": ("evaluate", "compare"),
    "compare": ("compare",),
    "spectrum": ("spectrum",),
}


@contextmanager
def failure_recorded(folders: Iterable[Path], stage: str) -> Iterator[None]:
    """Leave ``failed.json`` in run folders whose stage raised, for the report; take it away once the stage passes."""
    folders = list(folders)
    reasons: dict[Path, str] = {}
    try:
        yield
    except Exception as error:
        known = error if isinstance(error, BenchError) else out_of_memory(error)
        reason = str(known) if known else f"{type(error).__name__}: {error}"
        reasons = error.reasons if isinstance(error, RunsFailed) else dict.fromkeys(folders, reason)
        with suppress(BenchError, OSError):  # where the disk is full, say, the error itself is what counts
            for folder, sentence in reasons.items():
                write_json(folder / FAILED, {"stage": stage, "error": sentence})
        raise
    finally:
        for path in (folder / FAILED for folder in folders if folder not in reasons):
            if path.exists() and read_json(path, "delete it")["stage"] in FOLLOWING[stage]:
                path.unlink()
