"""Damaged files of a run: what can be made again counts as absent, so that no such file blocks a run for good."""

import sys
from pathlib import Path

from mlet_bench.errors import BenchError
from mlet_bench.files import file_digest
from mlet_bench.runs import (
    DEPLOYED,
    DEPLOYED_MODEL,
    DOCUMENTS,
    FAILED,
    FORMATS,
    MADE_BY,
    MODEL,
    PROVENANCE,
    SCORES,
    SPEC,
    STAGES,
    TABLES,
    UNKNOWN,
    RunFolder,
    Table,
    differences,
    served_file,
)
from mlet_bench.spec import RunSpec
from mlet_bench.stages.common import noted


def drop_damaged(folder: Path, spec: RunSpec) -> None:
    """Remove what is damaged in a run's folder, each with a line on stderr; a stage makes what is absent.

    A checkpoint stays, damaged or not, and what another run left stays too.

    Args:
        spec: the run that is to be there.
    """
    run = RunFolder(folder)
    if (failure := run.failure()) and failure.stage == UNKNOWN:
        _drop(folder / FAILED, failure.error)
    try:
        noted(folder)
    except BenchError as error:
        _drop(folder / MADE_BY, error)
    if not run.has(SPEC):
        return
    try:
        held = run.spec
    except BenchError as error:  # nothing beside it is known to be of its run
        _drop(folder / SPEC, error)
        run.drop(*STAGES)
        (folder / MADE_BY).unlink(missing_ok=True)
        return
    if differences(held, spec):
        return
    for part in (*TABLES, SCORES, *DOCUMENTS):
        try:
            if run.has(part):
                run.table(part, held) if isinstance(part, Table) else run.document(part, held)
        except BenchError as error:
            _drop(folder / part.file, error)
    for model, document, key in ((MODEL, PROVENANCE, "model_sha256"), (DEPLOYED_MODEL, DEPLOYED, "sha256")):
        both = run.has(model) and run.has(document)
        if both and run.document(document, held).get(key) != file_digest(folder / model):
            _drop(folder / model, f"{folder / model} was altered since it was written")
            (folder / document.file).unlink()  # which says that the model is there
    made = run.document(FORMATS, held)["formats"] if run.has(FORMATS) else {}
    for name, told in made.items():
        path = folder / served_file(name)
        if path.is_file() and told.get("sha256") != file_digest(path):
            _drop(path, f"{path} was altered since it was written")


def _drop(path: Path, reason: object) -> None:
    print(f"{reason}; removed, as a damaged file is made again", file=sys.stderr)
    path.unlink(missing_ok=True)
