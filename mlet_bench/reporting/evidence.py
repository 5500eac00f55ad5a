"""The tables behind the claims: reduction factors, rare categories, longer trainings, seeds beside test rows."""

import numpy as np
import pandas as pd

from mlet_bench.analysis.reduction import reduction_factor
from mlet_bench.analysis.statistics import paired_bootstrap
from mlet_bench.reporting.collect import CELL_KEYS
from mlet_bench.spec import derive_seed

KEYS = list(CELL_KEYS)
GROUP = ["grouping", "group", "low", "high", "rows"]


def reduction_table(runs: pd.DataFrame, baseline: str = "single") -> pd.DataFrame:
    """One row a cell of another arm and metric: the reduction factor at equal quality, in d and in table bytes.

    Only seeds that the cell and every width of ``single`` have finished enter. Where there are none, or ``single`` has
    fewer than two widths, the factor is NaN and ``text`` says why. A factor that is infinite or 0 is known to be beyond
    ``most`` or ``least``, those at the ends of the measured widths.
    """
    done = runs[runs["status"] == "done"]
    rows = []
    for key, cell in runs[runs["arm"] != baseline].groupby(KEYS, sort=False, dropna=False):
        keys = dict(zip(KEYS, key))
        same = (done["dataset"] == keys["dataset"]) & (done["model"] == keys["model"]) & (done["arm"] == baseline)
        for metric in ("auc", "logloss"):
            wide = done[same].pivot(index="dim", columns="seed", values=f"test_{metric}").sort_index()
            sizes = done[same].groupby("dim")["inference_tables_bytes"].first().astype(float)
            mine = cell[cell["status"] == "done"].set_index("seed")
            seeds = [seed for seed in wide.columns if seed in mine.index and wide[seed].notna().all()]
            if len(wide) < 2 or not seeds:
                reason = "single has one width" if len(wide) < 2 else "no seed is done in all widths"
                rows.append(keys | {"metric": metric, "pairs": len(seeds), "text": f"not known: {reason}"})
                continue
            quality, arm = wide[seeds].to_numpy(float), mine.loc[seeds, f"test_{metric}"].to_numpy(float)
            found = {}
            for unit, widths, width in (
                ("dim", wide.index.to_numpy(float), keys["dim"]),
                ("bytes", sizes.to_numpy(), float(mine["inference_tables_bytes"].iloc[0])),
            ):
                # The same draws for both units.
                name = f"reduction/{keys['dataset']}/{keys['model']}/{keys['cell']}/{metric}"
                generator = np.random.default_rng(derive_seed(0, name))
                found[unit] = reduction_factor(widths, quality, width, arm, generator, metric == "auc")
            of_dim, of_bytes = found["dim"], found["bytes"]
            row = {"factor": of_dim.factor, "factor_low": of_dim.low, "factor_high": of_dim.high, "text": of_dim.text}
            row |= {"least": of_dim.least, "most": of_dim.most}
            row |= {"bytes_factor": of_bytes.factor, "bytes_low": of_bytes.low, "bytes_high": of_bytes.high}
            rows.append(keys | {"metric": metric, "pairs": len(seeds)} | row)
    numbers = ["factor", "factor_low", "factor_high", "least", "most", "bytes_factor", "bytes_low", "bytes_high"]
    table = pd.DataFrame(rows, columns=[*KEYS, "metric", "pairs", *numbers, "text"])
    return table.astype({name: float for name in numbers} | {"text": "string", "dim": "Int64", "inner_dim": "Int64"})


def rare_table(rare: pd.DataFrame, baseline: str = "single") -> pd.DataFrame:
    """One row a cell and group of test rows: AUC gain over ``single`` of the same d, paired by seed, with an interval.

    Args:
        rare: one row a run and group, as ``evaluation.rare`` leaves them.
    """
    pairing = ["dataset", "model", "dim", "seed", *GROUP]
    reference = rare[rare["arm"] == baseline][[*pairing, "auc"]]
    pairs = rare[rare["arm"] != baseline].merge(reference, on=pairing, suffixes=("", "_baseline"))
    pairs = pairs.dropna(subset=["auc", "auc_baseline"])
    rows = []
    for key, part in pairs.groupby([*KEYS, *GROUP], sort=False, dropna=False):
        row = dict(zip([*KEYS, *GROUP], key))
        name = f"rare/{row['dataset']}/{row['model']}/{row['cell']}/{row['grouping']}/{row['group']}"
        generator = np.random.default_rng(derive_seed(0, name))
        gain = paired_bootstrap(part["auc"].to_numpy(), part["auc_baseline"].to_numpy(), generator)
        rows.append(row | {"pairs": gain.count, "gain": gain.mean, "gain_low": gain.low, "gain_high": gain.high})
    columns = [*KEYS, *GROUP, "pairs", "gain", "gain_low", "gain_high"]
    return pd.DataFrame(rows, columns=columns).astype({"dim": "Int64", "inner_dim": "Int64"})


def longer_table(curves: pd.DataFrame, train_rows: dict[str, int], baseline: str = "single") -> pd.DataFrame:
    """One row a longer cell and epoch: validation AUC at the epoch's end, and its gain over ``single`` of the same d.

    Args:
        curves: validation curves of the longer cells.
        train_rows: training rows by data set; a curve's ``rows`` is a multiple of them at the end of an epoch.
    """
    per_epoch = curves["dataset"].map(train_rows)
    ends = curves[curves["rows"] % per_epoch == 0].assign(epoch=curves["rows"] // per_epoch)
    pairing = ["dataset", "model", "dim", "seed", "epoch"]
    joined = ends.merge(
        ends[ends["arm"] == baseline][[*pairing, "val_auc"]], on=pairing, how="left", suffixes=("", "_b")
    )
    rows = []
    for key, part in joined.groupby([*KEYS, "epoch"], sort=False, dropna=False):
        row = dict(zip([*KEYS, "epoch"], key)) | {"seeds": len(part), "val_auc": part["val_auc"].mean()}
        paired = part.dropna(subset="val_auc_b")
        if row["arm"] != baseline and len(paired):
            name = f"longer/{row['dataset']}/{row['model']}/{row['cell']}/{row['epoch']}"
            generator = np.random.default_rng(derive_seed(0, name))
            gain = paired_bootstrap(paired["val_auc"].to_numpy(), paired["val_auc_b"].to_numpy(), generator)
            row |= {"gain": gain.mean, "gain_low": gain.low, "gain_high": gain.high}
        rows.append(row)
    columns = [*KEYS, "epoch", "seeds", "val_auc", "gain", "gain_low", "gain_high"]
    table = pd.DataFrame(rows, columns=columns)
    return table.astype({"dim": "Int64", "inner_dim": "Int64", "gain": float, "gain_low": float, "gain_high": float})


def sampling_table(differences: pd.DataFrame, sampling: pd.DataFrame) -> pd.DataFrame:
    """One row a cell: its mean AUC difference from ``single``, with the interval over seeds and that over test rows.

    Args:
        differences: a ``differences_table``.
        sampling: one row a run, as ``analysis.sampling`` leaves them. An interval over rows stands only where it is of
            the very seeds that the difference is of.
    """
    auc = differences[(differences["metric"] == "auc") & (differences["pairs"] > 0)]
    cells = sampling.drop_duplicates(KEYS)[["dataset", "model", "cell", "rows", "seeds", "cell_low", "cell_high"]]
    table = auc.merge(cells, on=["dataset", "model", "cell"], how="left")
    known = table["seeds"] == table["pairs"]
    for name in ("rows", "cell_low", "cell_high"):
        table[name] = table[name].where(known)
    table = table.rename(columns={"cell_low": "rows_low", "cell_high": "rows_high"})
    columns = [*KEYS, "pairs", "difference", "low", "high", "rows", "rows_low", "rows_high"]
    return table[columns].astype({"rows": "Int64", "rows_low": float, "rows_high": float})


def reweighting_table(reweighting: pd.DataFrame) -> pd.DataFrame:
    """One row a cell, field and stage: quantiles of the factors of ``analysis.reweighting``, means over seeds."""
    grouped = reweighting.groupby([*KEYS, "field", "stage"], sort=False, dropna=False)
    return grouped[["low", "median", "high", "w1", "w2"]].mean().reset_index()
