"""Criteo-Kaggle: the Display Advertising Challenge's ``train.txt``, seven days in the order of time."""

from typing import ClassVar

from mlet_bench.data import DATASETS
from mlet_bench.data.base import Column, DataSet, Dense, Integers, Planted
from mlet_bench.data.remote import RemoteFile

DENSE = tuple(f"I{number}" for number in range(1, 14))
FIELDS = tuple(f"C{number}" for number in range(1, 27))

WHOLE = RemoteFile("criteo-kaggle", "dac.tar.gz", hub="Recommenders/criteo", md5="df9b1b3766d9ff91d5ca3eb3d23bed27")
SAMPLE = RemoteFile("criteo-kaggle-sample", "dac_sample.tar.gz", hub="Recommenders/criteo")

# Share without a value, median, 90th percentile; rough values of the real file.
INTEGERS = {
    "I1": Integers(0.458, 1, 8),
    "I2": Integers(0.0, 3, 180, negative=0.1),
    "I3": Integers(0.215, 6, 50),
    "I4": Integers(0.220, 4, 20),
    "I5": Integers(0.027, 2600, 32000),
    "I6": Integers(0.227, 38, 320),
    "I7": Integers(0.044, 3, 31),
    "I8": Integers(0.0, 7, 35),
    "I9": Integers(0.044, 41, 300),
    "I10": Integers(0.458, 0, 2),
    "I11": Integers(0.044, 1, 6),
    "I12": Integers(0.768, 0, 2),
    "I13": Integers(0.220, 5, 25),
}

# Exponents of power laws whose entropy at 14,548 rows is that of genuine ones (python -m benchmarks.likeness --powers).
POWERS = dict(zip(FIELDS, (
    *(2.0, 1.15, 1.01, 1.07, 2.6, 2.45, 0.86, 2.3, 4.3, 1.12, 0.9, 1.02, 0.88),
    *(2.1, 0.99, 1.04, 1.55, 1.08, 1.6, 0.1, 1.03, 2.8, 1.9, 1.15, 1.75, 1.07),
)))  # fmt: skip


@DATASETS.add
class CriteoKaggle(DataSet):
    name = "criteo-kaggle"
    columns = (
        Column("label", "label"),
        *(Column(name, "int", optional=True) for name in DENSE),
        *(Column(name, "hex", optional=True) for name in FIELDS),
    )
    dense = tuple(Dense(name) for name in DENSE)
    fields = FIELDS
    splits = ("blocks",)
    recorded: ClassVar = {"authors_hour": False}  # an option of Avazu's: fingerprints have held it from the start
    of_papers = True
    full_rows = 45_840_617
    full_clicks = 11_745_438
    # As facebookresearch/dlrm counts them, a missing value as a category.
    table_sizes = (
        *(1460, 583, 10131227, 2202608, 305, 24, 12517, 633, 3, 93145, 5683, 8351593, 3194),
        *(27, 14992, 5461306, 10, 5652, 2173, 4, 7046547, 18, 15, 286181, 105, 142572),
    )
    downloads: ClassVar = {WHOLE.source: (WHOLE,), SAMPLE.source: (SAMPLE,)}
    served: ClassVar = {"download": (WHOLE.source,), "sample": (SAMPLE.source,)}
    planted = Planted(
        stream=0,
        click_rate=0.256,
        best_auc=0.80,
        dense=INTEGERS,
        tied=0.8,
        powers=POWERS,
        missing={"C6": 0.121, "C22": 0.763}
        | dict.fromkeys(("C3", "C4", "C12", "C16", "C21", "C24"), 0.034)
        | dict.fromkeys(("C19", "C20", "C25", "C26"), 0.440),
    )
