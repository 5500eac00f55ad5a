"""Generated rows beside genuine ones: how a raw file's ids repeat, hang together and say something of clicks.

``python -m benchmarks.likeness criteo-kaggle train.txt``: the same statistics of the file's rows and of as many
generated ones. N rows, F categorical fields; the ids of a field count from 0 in the file, a missing value being one.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

from mlet_bench.data import DATASETS
from mlet_bench.data.generate import synthesize
from mlet_bench.data.planted import power_law

BATCH = 128  # rows of a training batch
LEAST = 30  # rows of a category whose click rate is looked at


def read_codes(name: str, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Labels (N,) and codes (F, N) int64 of a raw file."""
    data = DATASETS[name]({})
    rows = pl.concat([data.rows(block) for block in data.open(path, path.parent)])
    codes = [rows[field].rank("dense").fill_null(0).to_numpy().astype(np.int64) for field in data.fields]
    return rows["label"].to_numpy().astype(np.int64), np.array(codes)


def distinct_in_batch(codes: np.ndarray, seed: int = 0) -> float:
    """Distinct ids over ids in a batch of rows drawn in a shuffled order, mean over batches and fields."""
    order = np.random.default_rng(seed).permutation(codes.shape[1])
    batches = codes[:, order[: len(order) // BATCH * BATCH]].reshape(len(codes), -1, BATCH)
    return float(np.mean([[len(np.unique(batch)) / BATCH for batch in field] for field in batches]))


def dependence(codes: np.ndarray, distance: int = 1, seed: int = 0) -> np.ndarray:
    """Normalised mutual information of fields f and f + distance, less what chance gives: an array (F - distance,).

    (I - I0) / (sqrt(H_f H_g) - I0), where I0 is the mutual information after the rows of one are shuffled: two fields
    with a category a row have I0 near H, and say nothing.
    """
    order = np.random.default_rng(seed).permutation(codes.shape[1])
    found = []
    for one, other in zip(codes, codes[distance:]):
        limit = np.sqrt(_entropy(one) * _entropy(other))
        chance = _information(one, other[order])
        found.append((_information(one, other) - chance) / max(limit - chance, 1e-9))
    return np.array(found)


def click_spread(labels: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Standard deviation of the click rate between categories of 30 rows or more, noise taken out: an array (F,).

    Weighted by rows; the variance of the observed rates less that of a mean of n labels, s² / n.
    """
    found = []
    for field in codes:
        n = np.bincount(field)
        rate = np.bincount(field, labels) / np.maximum(n, 1)
        n, rate = n[n >= LEAST], rate[n >= LEAST]
        mean = n @ rate / n.sum()
        excess = (n * ((rate - mean) ** 2 - rate * (1 - rate) / (n - 1))).sum() / n.sum()
        found.append(np.sqrt(max(excess, 0.0)))
    return np.array(found)


def frequency_effect(labels: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """|correlation| of the label with the logarithm of how often the row's category occurs: an array (F,)."""
    found = []
    for field in codes:
        count = np.log(np.bincount(field)[field])
        found.append(abs(np.corrcoef(count, labels)[0, 1]) if count.std() > 1e-9 else 0.0)
    return np.array(found)


def powers(name: str, path: Path, seed: int = 0) -> dict[str, float]:
    """For each field the exponent s of ``planted.power_law`` whose draws have the entropy of the file's ids.

    Of fields that may be missing the rows that have a value; n is the table size of the complete file.
    """
    data = DATASETS[name]
    found, missing = {}, data.planted.missing if data.planted else {}
    for field, size, ids in zip(data.fields, data.table_sizes, read_codes(name, path)[1]):
        ids, n = (ids[ids > 0], size - 1) if field in missing else (ids, size)
        u, wanted, low, high = np.random.default_rng(seed).random(len(ids)), _entropy(ids), 0.005, 8.005
        for _ in range(20):  # the steeper, the less entropy
            s = (low + high) / 2
            low, high = (s, high) if _entropy(power_law(u, n, s)) > wanted else (low, s)
        found[field] = round(low, 2)
    return found


def _entropy(codes: np.ndarray) -> float:
    p = np.unique(codes, return_counts=True)[1] / len(codes)
    return float(-(p * np.log(p)).sum())


def _information(one: np.ndarray, other: np.ndarray) -> float:
    return _entropy(one) + _entropy(other) - _entropy(one * (other.max() + 1) + other)


def statistics(name: str, path: Path) -> dict[str, str]:
    """All of the above, in words."""
    labels, codes = read_codes(name, path)
    effect, spread = frequency_effect(labels, codes), click_spread(labels, codes)
    near, far = dependence(codes), dependence(codes, distance=5)
    commonest = np.mean([np.bincount(field).max() for field in codes]) / len(labels)
    quartiles = "{:.3f}, quartiles {:.3f}-{:.3f}"
    return {
        "rows": f"{len(labels)}",
        "click rate": f"{labels.mean():.3f}",
        "categories, mean over fields": f"{np.mean([len(np.unique(field)) for field in codes]):.0f}",
        "categories with one row": f"{np.mean([np.mean(np.bincount(field)[field] == 1) for field in codes]):.3f}",
        f"distinct ids in a batch of {BATCH}": f"{distinct_in_batch(codes):.3f}",
        "share of the commonest category": f"{commonest:.3f}",
        "dependence of neighbouring fields": quartiles.format(near.mean(), *np.quantile(near, (0.25, 0.75))),
        "dependence of fields 5 apart": quartiles.format(far.mean(), *np.quantile(far, (0.25, 0.75))),
        "spread of the click rate": quartiles.format(spread.mean(), *np.quantile(spread, (0.25, 0.75))),
        "correlation of frequency and click": quartiles.format(effect.mean(), *np.quantile(effect, (0.25, 0.75))),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.likeness", description="Generated rows beside genuine ones."
    )
    parser.add_argument("dataset", choices=[name for name, data in DATASETS.items() if data.planted])
    parser.add_argument("raw", type=Path, help="a genuine raw file, or a part of one")
    parser.add_argument("--seed", type=int, default=0, help="of the generated rows")
    parser.add_argument("--powers", action="store_true", help="print the exponents of the fields' power laws alone")
    arguments = parser.parse_args()
    if arguments.powers:
        print(powers(arguments.dataset, arguments.raw))
        return
    genuine = statistics(arguments.dataset, arguments.raw)
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw"
        synthesize(arguments.dataset, int(genuine["rows"]), arguments.seed, raw)
        generated = statistics(arguments.dataset, raw)
    print(f"| {arguments.dataset} | genuine | generated |\n|---|---|---|")
    for what, value in genuine.items():
        print(f"| {what} | {value} | {generated[what]} |")


if __name__ == "__main__":
    main()
