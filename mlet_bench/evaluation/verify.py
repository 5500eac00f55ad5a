"""Does a run hold what it says? Everything is computed again from the deployed model and the data set."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlet_bench.data.dataset import Rows
from mlet_bench.errors import BenchError
from mlet_bench.evaluation.deploy import load_deployed
from mlet_bench.evaluation.score import score
from mlet_bench.runs import DEPLOYED_MODEL, METRICS, PROVENANCE, RunFolder
from mlet_bench.spec import DatasetSchema

# Another device or thread count rounds logits differently: 1e-6 in a probability. Accuracy counts rows at a threshold.
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Check:
    """One thing that must hold.

    Attributes:
        found: what was found, in words.
    """

    name: str
    holds: bool
    found: str

    def __str__(self) -> str:
        return f"{'ok' if self.holds else 'FAILED'}: {self.name}: {self.found}"


def verify_run(folder: Path, schema: DatasetSchema, data: dict[str, Rows]) -> list[Check]:
    """Check a run's id, data, model, metrics and provenance.

    Args:
        data: the splits ``val`` and ``test``, on one device.

    Returns:
        the checks, those that fail included.

    Raises:
        BenchError: a file that the checks need is missing or damaged, a model that was tidied away among them.
    """
    run = RunFolder(folder)
    spec = run.spec  # refuses a spec whose id is not that of its content
    stored, provenance = run.document(METRICS, spec), run.document(PROVENANCE, spec)
    if not run.has(DEPLOYED_MODEL):
        raise BenchError(
            f"{folder / DEPLOYED_MODEL} does not exist, so its metrics cannot be computed again: run the workflow "
            "with 'keep: deployed' (with 'keep: metrics' a model goes once it is scored)"
        )
    model, description = load_deployed(folder)  # refuses a model whose hash is not the described one
    checks = [
        Check("run id", description["run_id"] == spec.id, spec.id),
        Check("data fingerprint", schema.sealed().fingerprint == schema.fingerprint == spec.fingerprint,
              f"run {spec.fingerprint}, data set {schema.fingerprint}, its content {schema.sealed().fingerprint}"),
        Check("scored model", stored["deployed_sha256"] == description["sha256"], description["sha256"]),
    ]  # fmt: skip
    model.to(data["test"].label.device)
    for split, rows in data.items():
        for name, value in score(model, rows).items():
            said = stored[split].get(name, math.nan)  # absent where the metric is newer than the evaluation
            found = f"{value:.9g} computed, {said:.9g} stored"
            checks.append(Check(f"{split} {name}", abs(value - said) <= TOLERANCE, found))
    checks.append(_check_provenance(provenance))
    return checks


def _check_provenance(provenance: dict[str, Any]) -> Check:
    """Everything is recorded; that there was no checkout to name a commit of (a wheel, no git) is a record as well."""
    lacking = [name for name in PROVENANCE.keys if provenance.get(name) is None]
    if lacking == ["commit", "dirty"]:
        return Check("provenance", True, "complete, from code without a commit (no checkout, or no git)")
    return Check("provenance", not lacking, f"lacks {', '.join(lacking)}" if lacking else "complete")
