"""What a cell has trained so far: kept beside its results until the whole cell is done, whatever ends the job before.

Snakemake deletes the declared files of a job that did not end well, also those of the seeds that were done. So a run is
trained in ``unfinished`` inside its folder, which is declared nowhere, and appears in the folder as hard links.
"""

import os
import shutil
from functools import cache
from pathlib import Path

from mlet_bench.files import digest, read_json, write_json
from mlet_bench.lineage import code_digests
from mlet_bench.spec import RunSpec

NAME = "unfinished"
FILES = ("curve.parquet", "model.safetensors", "provenance.json", "tuning.json", "spec.json")


def unfinished(folder: Path) -> Path:
    """The folder to train a run in; what other code trained there is thrown away, since it gave other numbers."""
    place = folder / NAME
    note = place / "code.json"
    if not note.exists() or read_json(note, f"delete {place} to train the run from the start") != _code():
        shutil.rmtree(place, ignore_errors=True)
        write_json(note, _code())
    return place


@cache
def _code() -> dict[str, str]:
    """What trains, as a sum; taken once a process, since it reads the whole package."""
    return {"code": digest(code_digests("mlet_bench.cli:_train"))}


def drop_if_empty(place: Path) -> None:
    """Remove a folder that a training left before it had anything to keep."""
    if not [file for file in place.rglob("*") if file.is_file() and file.name != "code.json"]:
        shutil.rmtree(place, ignore_errors=True)


def is_trained(place: Path, spec: RunSpec) -> bool:
    """Whether a run was trained in ``place`` to its end: provenance.json is written last."""
    return (place / "provenance.json").exists() and RunSpec.read(place) == spec


def publish(place: Path, folder: Path) -> None:
    """Show the files of a trained run in its folder, without a second copy where the file system has links."""
    for name in FILES:
        (folder / name).unlink(missing_ok=True)
        if (place / name).exists():
            try:
                os.link(place / name, folder / name)
            except OSError:
                shutil.copy2(place / name, folder / name)
            os.utime(folder / name)  # it is a result from now on, newer than the data it was made from
