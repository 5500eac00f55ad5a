"""Criteo-Kaggle: the Display Advertising Challenge's ``train.txt``, seven days in the order of time."""

from mlet_bench.data.format import Column, RawFormat

DENSE = tuple(f"I{number}" for number in range(1, 14))
FIELDS = tuple(f"C{number}" for number in range(1, 27))

# The complete file's figures; table sizes as facebookresearch/dlrm counts them, a missing value as a category.
TABLE_SIZES = (
    *(1460, 583, 10131227, 2202608, 305, 24, 12517, 633, 3, 93145, 5683, 8351593, 3194),
    *(27, 14992, 5461306, 10, 5652, 2173, 4, 7046547, 18, 15, 286181, 105, 142572),
)

FORMAT = RawFormat(
    name="criteo-kaggle",
    separator=b"\t",
    header=False,
    columns=(
        Column("label", "label"),
        *(Column(name, "int", optional=True) for name in DENSE),
        *(Column(name, "hex", optional=True) for name in FIELDS),
    ),
    dense=DENSE,
    fields=FIELDS,
    splits=("blocks",),
    full_rows=45_840_617,
    full_clicks=11_745_438,
    full_table_sizes=TABLE_SIZES,
)
