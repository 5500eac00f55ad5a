"""Which code made a result: what a command reaches, and the members of registries that the result is made with."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from mlet_bench.arms import ARMS
from mlet_bench.embeddings import METHODS
from mlet_bench.evaluation.metrics import METRICS
from mlet_bench.files import digest
from mlet_bench.lineage import code_digests
from mlet_bench.models import MODELS

if TYPE_CHECKING:
    from collections.abc import Iterable


def code_of(
    module: str, arm: str | None = None, model: str | None = None, more: Iterable[str] = (), metrics: bool | None = None
) -> list[str]:
    """The code that decides a command's result, a line a module: a change in it, and only that, makes the result stale.

    Args:
        module: the command's, whose function ``run`` is where it begins.
        arm, model: what a run is made with; an arm, model or method beside them changes nothing.
        more: further entries, such as a data set's module.
        metrics: whether the metrics that are registered decide it; None: of the stages that score.
    """
    entries = [f"{module}:run", *more]
    lines = []
    if arm is not None:
        found = ARMS[arm]
        entries.append(METHODS.module_of(found.method))
        words = {name: value for name, value in asdict(found).items() if name not in ("look", "purpose")}
        lines.append(f"arm {digest(words, 8)}")
    if model is not None:
        entries.append(MODELS.module_of(model))
    if metrics or (metrics is None and module.rpartition(".")[2] in ("evaluate", "formats", "cell")):
        entries += sorted({metric.value.__module__ for metric in METRICS.values()})
    return code_digests(entries) + lines
