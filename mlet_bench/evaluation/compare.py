"""What the draw of the test rows alone would change: a cell's runs against the baseline's, row for row."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mlet_bench.errors import BenchError
from mlet_bench.evaluation.scores import read_scores
from mlet_bench.runs import SAMPLING, RunFolder
from mlet_bench.spec import RunSpec
from mlet_bench.statistics.delong import Sampled, delong_difference, delong_mean_difference


def compare_cell(folders: Sequence[Path], baselines: Sequence[Path]) -> dict[Path, dict]:
    """Write ``sampling.json`` of each run of a cell: its AUC minus that of the baseline's run of equal seed.

    Args:
        folders: evaluated runs, each of another seed.
        baselines: evaluated runs on the same rows, at least one for each of those seeds.

    Returns:
        each folder's content: ``run_id``, ``baseline_id``, ``rows``, ``difference``, ``low``, ``high``, and under
        ``cell`` the mean over all these seeds: ``seeds``, ``difference``, ``low``, ``high``. Intervals are DeLong's,
        95%, over test rows, the trained models held fixed.

    Raises:
        BenchError: two runs of one seed, no baseline for a seed, other data, or scores that are absent.
    """
    pairs = _paired(folders, baselines)
    label = read_scores(folders[0])[0]
    contents = {}
    for folder, (ours, theirs, baseline) in pairs.items():
        interval = delong_difference(label, _scores(folder, label), _scores(baseline, label))
        contents[folder] = {"run_id": ours.id, "baseline_id": theirs.id, "rows": interval.count, **_ends(interval)}
    whole = delong_mean_difference(
        label, ((_scores(folder, label), _scores(baseline, label)) for folder, (*_, baseline) in pairs.items())
    )
    cell = {"seeds": [ours.seed for ours, *_ in pairs.values()], **_ends(whole)}
    for folder, content in contents.items():
        content["cell"] = cell
        RunFolder(folder).write_document(SAMPLING, content, content["run_id"])
    return contents


def _paired(folders: Sequence[Path], baselines: Sequence[Path]) -> dict[Path, tuple[RunSpec, RunSpec, Path]]:
    others = {RunSpec.read(folder).seed: folder for folder in baselines}
    pairs, seen = {}, {}
    for folder in folders:
        ours = RunSpec.read(folder)
        if ours.seed in seen:
            raise BenchError(f"{folder} and {seen[ours.seed]} have both seed {ours.seed}: give the runs of one cell")
        if ours.seed not in others:
            raise BenchError(f"{folder} has seed {ours.seed}, the baseline's runs have {sorted(others)}: give its pair")
        baseline = others[ours.seed]
        theirs = RunSpec.read(baseline)
        if ours.fingerprint != theirs.fingerprint:
            raise BenchError(
                f"{folder} was trained on data {ours.fingerprint}, {baseline} on {theirs.fingerprint}: their test rows "
                "are not the same; evaluate both on one data set"
            )
        seen[ours.seed], pairs[folder] = folder, (ours, theirs, baseline)
    return pairs


def _scores(folder: Path, label: np.ndarray) -> np.ndarray:
    own, probability = read_scores(folder)
    if not np.array_equal(own, label):
        raise BenchError(
            f"{folder}/scores.parquet has other test rows than the runs it is compared with: evaluate again"
        )
    return probability


def _ends(interval: Sampled) -> dict[str, float]:
    return {"difference": interval.mean, "low": interval.low, "high": interval.high}
