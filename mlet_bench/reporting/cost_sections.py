"""What MLET costs while training: time and memory."""

import pandas as pd

from mlet_bench.reporting.document import Section, Table, megabytes, or_nothing, percent
from mlet_bench.reporting.tables import PAPER_OVERHEAD, overhead_means

# Numbers that an optimizer keeps for each parameter (training/rows.py).
STATE_PER_PARAMETER = {"sgd": 0, "adagrad": 1}


def cost_section(
    overhead: pd.DataFrame, untimed: dict[str, str], cells: pd.DataFrame, optimizer: str, figures: list[str]
) -> Section:
    """Extra time of a training step, then bytes while training beside bytes deployed.

    Args:
        overhead: an ``overhead_table``.
        untimed: data set → why it has no timings.
        cells: a ``cells_table``.
        optimizer: a name of ``STATE_PER_PARAMETER``.
    """
    text, shown, made = _time(overhead, figures)
    text += [f"{dataset} was not timed: {reason}." for dataset, reason in untimed.items()]
    memory = _memory(cells, STATE_PER_PARAMETER[optimizer])
    if memory.rows:
        text.append(
            "Memory: the tables as they are trained (W1 and W2, or E), what the optimizer keeps of them "
            f"({optimizer}), the largest amount measured in a run (on a GPU its allocations, on a CPU the whole "
            "process with its data), and the tables as deployed, which depend on d alone."
        )
        made.append(("Memory, MB", memory))
    return Section("What it costs", text, shown, made)


def _time(table: pd.DataFrame, figures: list[str]) -> tuple[list, list, list]:
    if table.empty:
        return ["Training time: Not measured; no timing of training steps is there."], [], []
    text = [
        "Training time: that of one step of MLET over one of single at the same d, timed in turn in one process; "
        "medians of the paired ratios, with their quartiles."
    ]
    for row in overhead_means(table).to_dict("records"):
        text.append(
            f"{row['dataset']}, {row['model'].upper()}, B = {row['batch_size']}, {row['device']}: "
            f"{percent(row['ratio'])} on average over {row['cells']} (d, k), beside the paper's {PAPER_OVERHEAD:+.0%}."
        )
    rows = [
        [
            *(row["dataset"], row["device"], str(row["batch_size"]), str(row["dim"]), str(row["inner_dim"])),
            *(str(row["pairs"]), f"{row['single_ms']:.3f}", f"{row['mlet_ms']:.3f}", percent(row["ratio"])),
            f"{percent(row['ratio_q25'])} to {percent(row['ratio_q75'])}",
        ]
        for row in table.to_dict("records")
    ]
    header = ["data", "device", "B", "d", "k", "pairs", "single ms", "MLET ms", "extra", "quartiles"]
    caption = "Extra time of an MLET step; bars are quartiles over pairs."
    shown = [("overhead", caption)] if "overhead" in figures else []
    return text, shown, [("Time of a training step", Table(header, rows, frozenset(range(2, 10))))]


def _memory(cells: pd.DataFrame, state: int) -> Table:
    """One row a (d, k) of single and MLET that has run."""
    done = cells[cells["arm"].isin(("single", "mlet")) & (cells["done"] > 0)]
    rows = [
        [
            *(row["dataset"], row["arm"], str(row["dim"]), or_nothing(row["inner_dim"])),
            megabytes(row["training_tables_bytes"]),
            megabytes(state * row["training_tables_bytes"]),
            megabytes(row["peak_memory_bytes"]),
            megabytes(row["inference_tables_bytes"]),
            f"{row['training_tables_bytes'] / row['inference_tables_bytes']:.3g}x",
        ]
        for row in done.to_dict("records")
    ]
    header = ["data", "arm", "d", "k", "tables, training", "optimizer", "peak", "tables, deployed", "training/deployed"]
    return Table(header, rows, frozenset(range(2, 9)))
