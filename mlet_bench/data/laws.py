"""What the two real files look like: columns, table sizes, missing values, click rate."""

from dataclasses import dataclass

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
    "criteo-kaggle": Law(
        rows=45_840_617,
        fields=tuple(f"C{i}" for i in range(1, 27)),
        sizes=(
            *(1460, 583, 10131227, 2202608, 305, 24, 12517, 633, 3, 93145, 5683, 8351593, 3194),
            *(27, 14992, 5461306, 10, 5652, 2173, 4, 7046547, 18, 15, 286181, 105, 142572),
        ),
        missing={"C6": 0.121, "C22": 0.763}
        | dict.fromkeys(("C3", "C4", "C12", "C16", "C21", "C24"), 0.034)
        | dict.fromkeys(("C19", "C20", "C25", "C26"), 0.440),
        click_rate=0.256,
        best_auc=0.80,
    ),
    "avazu": Law(
        rows=40_428_967,
        fields=(
            *("C1", "banner_pos", "site_id", "site_domain", "site_category", "app_id", "app_domain", "app_category"),
            *("device_id", "device_ip", "device_model", "device_type", "device_conn_type"),
            *("C14", "C15", "C16", "C17", "C18", "C19", "C20", "C21"),
        ),
        sizes=(7, 7, 4737, 7745, 26, 8552, 559, 36, 2686408, 6729486, 8251, 5, 4, 2626, 8, 9, 435, 4, 68, 172, 60),
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
