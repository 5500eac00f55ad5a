"""C5: what MLET costs while training, in time and in memory."""

from dataclasses import replace

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlet_bench.arms import BASELINE, RECIPES, TREATED
from mlet_bench.claims import CLAIMS
from mlet_bench.claims.claim import MODELS_A, PAPER_A, Claim
from mlet_bench.claims.comparisons import AS_PAPER, Comparison
from mlet_bench.claims.finding import Estimate, Finding, Found, notes
from mlet_bench.claims.verdicts import NOT_RUN, UNDECIDED, Judged, decide, on_a_part
from mlet_bench.display import plots
from mlet_bench.display.document import (
    CELL_COLUMNS,
    DATASET,
    MODEL,
    Column,
    D,
    K,
    Section,
    Table,
    number,
    plot,
    show,
    words,
)
from mlet_bench.display.svg import add_tip
from mlet_bench.display.text import NOTHING, commas, megabytes, percent
from mlet_bench.statistics.intervals import DECISIVE_PAIRS, Interval, mean_interval, ratio_quartiles
from mlet_bench.tables.cells import arm_cells, records, whole_widths
from mlet_bench.tables.quality import cells_table
from mlet_bench.tables.results import Results, Setting

OVERHEAD = (0.15, 0.35)  # "25% on average", ten points either way
PAPER = 0.25
# A step's cost depends on the batch; the paper's number is at its own.
BATCH = RECIPES["authors"]["batch_size"]
# Numbers that an optimizer keeps for each parameter (training/rows.py; of a sweep over somebody's model, torch.optim).
STATE_PER_PARAMETER = {"sgd": 0, "adagrad": 1, "adam": 2, "adamw": 2}


def judge_overhead(extra: Interval, gpu: bool) -> Judged:
    """C5: training costs 25% more time on average.

    *Reproduced*: the mean over (d, k) is shown to lie within ``OVERHEAD``. *Not reproduced*: it is shown to lie
    outside; cheaper is as little the paper's number as dearer. The paper's is a GPU's: a CPU, where the MLPs take the
    time, decides nothing.
    """
    low, high = OVERHEAD
    if not gpu:
        return Judged(UNDECIDED)
    return decide([extra.p_above(low), extra.p_below(high)], [extra.p_below(low), extra.p_above(high)])


def overhead_table(results: Results) -> pd.DataFrame:
    """One row a (d, k), device and batch size: quartiles of the paired ratios of step times, MLET over single."""
    keys, rows = ["dataset", "model", "device", "batch_size", "dim", "inner_dim"], []
    for key, part in results.overhead.groupby(keys, sort=False):
        single, mlet = part["single_ms"].to_numpy(np.float64), part["mlet_ms"].to_numpy(np.float64)
        low, middle, high = ratio_quartiles(mlet, single)
        rows.append((*key, len(part), float(np.median(single)), float(np.median(mlet)), middle, low, high))
    names = [*keys, "pairs", "single_ms", "mlet_ms", "ratio", "ratio_q25", "ratio_q75"]
    return whole_widths(pd.DataFrame(rows, columns=names))


def overhead_means(results: Results) -> pd.DataFrame:
    """One row a data set, model, device and batch size: the mean of an ``overhead_table`` over its (d, k) grid."""
    grouped = results.table(overhead_table).groupby(["dataset", "model", "device", "batch_size"], sort=False)
    return grouped.agg(cells=("ratio", "size"), ratio=("ratio", "mean")).reset_index()


@plot("Extra time", "Extra time of an MLET step; bars are quartiles over pairs.")
def overhead(results: Results) -> Figure | None:
    table = results.table(overhead_table)
    panels = plots.panels_of(results, table)
    if not panels:
        return None
    ways = list(table[["device", "batch_size"]].drop_duplicates().itertuples(index=False, name=None))
    figure, axes = plots.grid(len(ways), len(panels), "embedding width d", "extra time of a step, %", 2.9)
    for row, (device, batch_size) in enumerate(ways):
        for column, panel in enumerate(panels):
            ax = axes[row][column]
            part = panel.of(table[(table["device"] == device) & (table["batch_size"] == batch_size)])
            _draw_extra(ax, part, plots.inner_dims_of(table), sorted(int(dim) for dim in table["dim"].unique()))
            ax.set_title(f"{panel.dataset}, {panel.model.upper()}, B = {batch_size}\n{device}")
    handles, labels = axes[0][0].get_legend_handles_labels()
    # matplotlib lists lines before points; the measured points come first here.
    figure.legend([*handles[1:], handles[0]], [*labels[1:], labels[0]], loc="outside upper center", ncols=6)
    return figure


def _draw_extra(ax: Axes, part: pd.DataFrame, inner_dims: list[int], dims: list[int]) -> None:
    """A group of points a d, one point a k, from light to dark."""
    width = 0.6 / len(inner_dims)
    for place, inner_dim in enumerate(inner_dims):
        line = part[part["inner_dim"] == inner_dim]
        at = [dims.index(dim) + (place - (len(inner_dims) - 1) / 2) * width for dim in line["dim"]]
        bars = [100 * (line["ratio"] - line["ratio_q25"]), 100 * (line["ratio_q75"] - line["ratio"])]
        color = matplotlib.colormaps["cividis_r"](0.25 + 0.75 * (place + 1) / len(inner_dims))
        style = {"marker": plots.MARKERS[place % len(plots.MARKERS)], "color": color, "linestyle": "none", "capsize": 2}
        ax.errorbar(at, 100 * (line["ratio"] - 1), yerr=bars, label=f"k = {inner_dim}", **style)
        for x, timed in zip(at, records(line)):
            extra = f"{percent(timed['ratio'] - 1)} ({_quartiles(timed)})"
            took = f"{timed['single_ms']:.3f} to {timed['mlet_ms']:.3f} ms a step"
            add_tip(ax, x, 100 * (timed["ratio"] - 1), f"d = {timed['dim']}, k = {inner_dim}: {extra}, {took}")
    ax.axhline(0, color="#666666", linewidth=0.8)
    ax.axhline(100 * PAPER, color="#D55E00", linestyle="--", linewidth=1, label="the paper's average")
    ax.set_xticks(range(len(dims)), [str(dim) for dim in dims])
    ax.set_xlim(-0.6, len(dims) - 0.4)


@CLAIMS.add
class OverheadClaim(Claim):
    name = "C5"
    sentence = "Training costs 25% more time on average."
    source = PAPER_A
    models = MODELS_A
    rule = staticmethod(judge_overhead)
    comparisons = (AS_PAPER,)
    tables = {"overhead": overhead_table}  # noqa: RUF012
    plot = overhead

    def settings(self, results: Results) -> list[Setting]:
        """Genuine rows alone where there are any: the paper's number is one mean."""
        settings = super().settings(results)
        return [setting for setting in settings if not setting.is_planted] or settings

    def found(self, results: Results, comparison: Comparison) -> Found:
        """One mean over the data sets, with each."""
        pooled = self.settings(results)
        if not pooled:
            return []
        timed = _timed(results, pooled)
        ratio = timed.groupby(["dataset", "model", "dim", "inner_dim"])["ratio"].mean()  # over devices of a kind
        asked = {setting: arm_cells(setting.runs, TREATED) for setting in pooled}
        cells = {
            setting: tuple(cell for key, cell in of.items() if (setting.dataset, setting.model, *key) in ratio.index)
            for setting, of in asked.items()
        }
        lacking = sum(map(len, asked.values())) - sum(map(len, cells.values()))
        finding = _find(ratio.to_numpy(np.float64), sorted(timed["device"].unique()), lacking)
        # A step's time depends on the sizes of the tables, and those of a part of the rows are smaller.
        limited = any(setting.is_part for setting in pooled)
        finding = replace(finding, judged=on_a_part(finding.judged)) if limited else finding
        first, *others = [(setting, replace(finding, cells=cells[setting])) for setting in pooled]
        return [first, *((setting, replace(each, estimates=())) for setting, each in others)]

    def number(self, found: Found) -> str:
        """One for all."""
        return found[0][1].number if found else ""

    def section(self, results: Results) -> Section:
        """Extra time of a training step, then bytes while training beside bytes deployed."""
        table, made = results.table(overhead_table), []
        text = ["Training time: Not measured; no timing of training steps is there."]
        if len(table):
            text = [
                "Training time: that of one step of MLET over one of single at the same d, timed in turn in one "
                "process; medians of the paired ratios, with their quartiles."
            ]
            for row in records(results.table(overhead_means)):
                where = f"{row['dataset']}, {row['model'].upper()}, B = {row['batch_size']}, {row['device']}"
                over = f"on average over {row['cells']} (d, k), beside the paper's {PAPER:+.0%}"
                text.append(f"{where}: {percent(row['ratio'] - 1)} {over}.")
            made.append(("Time of a training step", show(table, _TIMES)))
        text += [f"{dataset} was not timed: {reason}." for dataset, reason in results.untimed.items()]
        optimizer = results.config["training"]["optimizer"]
        memory = _memory(results, STATE_PER_PARAMETER.get(optimizer))
        if memory.rows:
            text.append(
                "Memory: the tables as they are trained (W1 and W2, or E), what the optimizer keeps of them "
                f"({optimizer}), the largest amount measured in a run (on a GPU its allocations, on a CPU the whole "
                "process with its data), and the tables as deployed, which depend on d alone."
            )
            made.append(("Memory, MB", memory))
        return Section("What it costs", text, [overhead.name], made)


def _timed(results: Results, settings: list[Setting]) -> pd.DataFrame:
    """The rows of an ``overhead_table`` at the paper's batch: those of GPUs if there are any."""
    table = results.table(overhead_table)
    timed = pd.concat([setting.of(table) for setting in settings])
    timed = timed[timed["batch_size"] == BATCH]
    on_gpu = timed[~timed["device"].str.startswith("CPU")]
    return timed if on_gpu.empty else on_gpu


def _find(ratio: np.ndarray, devices: list[str], lacking: int) -> Finding:
    """Extra time of a training step, mean over data sets and (d, k) of the median paired ratio, less 1.

    The interval is Student's t over the (d, k): it says how far the mean depends on the widths that were timed. The
    timings of one (d, k) hardly differ.

    Args:
        ratio: one a data set, model, d and k.
        lacking: how many of the grid were not timed.
    """
    if not len(ratio):
        return Finding(Judged(NOT_RUN), note=f"no training step was timed at the paper's batch of {BATCH}")
    gpu = not devices[0].startswith("CPU")
    extra, (low, high) = mean_interval(ratio - 1), OVERHEAD
    mean, least, most = (100 * number for number in extra.numbers)
    drawn = Estimate("extra time of a step", mean, least, most, len(ratio), "%", paper=(100 * PAPER, 100 * PAPER))
    return Finding(
        Judged(UNDECIDED) if lacking else judge_overhead(extra, gpu),
        f"{percent(*extra.numbers)} a step, mean over {len(ratio)} (data set, d, k) on {commas(devices)}, "
        f"beside the paper's {PAPER:+.0%}",
        note=notes(
            "" if gpu else "timed on a CPU, where a step's time is the MLPs': not comparable",
            f"{lacking} (d, k) of the grid were not timed" if lacking else "",
            "" if len(ratio) >= DECISIVE_PAIRS else f"{len(ratio)} (d, k), {DECISIVE_PAIRS} are needed",
            "cheaper than the paper says" if extra.high < low else "",
            "dearer than the paper says" if extra.low > high else "",
        ),
        estimates=(drawn,),
    )


def _quartiles(row: dict) -> str:
    return f"{percent(row['ratio_q25'] - 1)} to {percent(row['ratio_q75'] - 1)}"


_TIMES = [
    *(DATASET, MODEL, words("device", "device"), number("B", "batch_size"), D, K, number("pairs", "pairs")),
    number("single ms", "single_ms", ".3f"),
    number("MLET ms", "mlet_ms", ".3f"),
    Column("extra", lambda row: percent(row["ratio"] - 1)),
    Column("quartiles", _quartiles),
]


def _memory(results: Results, state: int | None) -> Table:
    """One row a (d, k) of single and MLET that has run; ``state`` numbers are kept a parameter, None if nobody says."""
    cells = results.table(cells_table)
    done = cells[cells["arm"].isin((BASELINE, TREATED)) & (cells["done"] > 0)]
    columns = [
        *CELL_COLUMNS,
        Column("tables, training", lambda row: megabytes(row["training_tables_bytes"])),
        Column("optimizer", lambda row: NOTHING if state is None else megabytes(state * row["training_tables_bytes"])),
        Column("peak", lambda row: megabytes(row["peak_memory_bytes"])),
        Column("tables, deployed", lambda row: megabytes(row["deployed_tables_bytes"])),
        Column("training/deployed", lambda row: f"{row['training_tables_bytes'] / row['deployed_tables_bytes']:.3g}x"),
    ]
    return show(done, columns)
