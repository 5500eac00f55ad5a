"""What the two real files look like: columns, table sizes, missing values, click rate."""

from dataclasses import dataclass

from mlet_bench.data import avazu, criteo
from mlet_bench.errors import BenchError
from mlet_bench.spec import DATASETS

MAX_ROWS = 2**31  # of a planted file; a product of two row indices must fit 63 bits


@dataclass(frozen=True)
class Law:
    """What a real file looks like.

    Attributes:
        rows: rows of the whole real file.
        fields: categorical columns in file order.
        sizes: distinct values of each in the whole file, the missing one included.
        missing: share of rows without a value, for the fields that have such rows; their category 0 is the missing one.
        click_rate: share of clicks.
        best_auc: the AUC that the planted labels are scaled to.
    """

    rows: int
    fields: tuple[str, ...]
    sizes: tuple[int, ...]
    missing: dict[str, float]
    click_rate: float
    best_auc: float


LAWS = {
    criteo.FORMAT.name: Law(
        rows=criteo.FORMAT.full_rows,
        fields=criteo.FIELDS,
        sizes=criteo.TABLE_SIZES,
        missing={"C6": 0.121, "C22": 0.763}
        | dict.fromkeys(("C3", "C4", "C12", "C16", "C21", "C24"), 0.034)
        | dict.fromkeys(("C19", "C20", "C25", "C26"), 0.440),
        click_rate=0.256,
        best_auc=0.80,
    ),
    avazu.FORMAT.name: Law(
        rows=avazu.FORMAT.full_rows,
        fields=avazu.FIELDS,
        sizes=avazu.TABLE_SIZES,
        missing={},
        click_rate=0.170,
        best_auc=0.78,
    ),
}


def table_sizes(name: str, rows: int) -> tuple[int, ...]:
    """Exact number of distinct values of each categorical field in a planted file, the missing one included.

    The real file's sizes, none above ceil(largest real size · rows / real rows): a small file keeps the real ratio of
    rows to rows of its largest table.

    Raises:
        BenchError: an unknown data set, or fewer than 100 or more than 2^31 rows.
    """
    if name not in LAWS:
        raise BenchError(f"no planted data set is called {name!r}: there are {', '.join(DATASETS)}")
    if not 100 <= rows <= MAX_ROWS:
        raise BenchError(f"{rows} rows of planted {name} asked for: 100 to {MAX_ROWS} are possible")
    law = LAWS[name]
    cap = -(-max(law.sizes) * rows // law.rows)
    return tuple(min(size, cap) for size in law.sizes)
