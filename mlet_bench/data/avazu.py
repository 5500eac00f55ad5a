"""Avazu: the Click-Through Rate Prediction competition's training file, ten days of hours."""

from datetime import date
from typing import ClassVar

from mlet_bench.data import DATASETS
from mlet_bench.data.base import Column, DataSet, Dense, Hours, Planted
from mlet_bench.data.remote import RemoteFile

# The order of the file; id and hour are no categories.
KINDS = {
    "id": "digits",  # up to 20 digits, beyond 64 bits
    "click": "label",
    "hour": "hour",
    "C1": "int",
    "banner_pos": "int",
    **dict.fromkeys(("site_id", "site_domain", "site_category", "app_id", "app_domain", "app_category"), "hex"),
    **dict.fromkeys(("device_id", "device_ip", "device_model"), "hex"),
    **dict.fromkeys(("device_type", "device_conn_type", *(f"C{number}" for number in range(14, 22))), "int"),
}

KAGGLE = RemoteFile(
    "avazu-kaggle",
    "train.gz",
    kaggle="avazu-ctr-prediction",
    unpacked=(("", "f5d49ff28f41dc993b9ecb2372abb033"),),
    instead="use source 'avazu-mirror', which needs no account but has its rows shuffled",
)
MIRROR = RemoteFile(
    "avazu-mirror",
    "Avazu_x4.zip",
    hub="reczoo/Avazu_x4",
    unpacked=(
        ("train.csv", "de3a27264cdabf66adf09df82328ccaa"),
        ("valid.csv", "33232931d84d6452d3f956e936cab2c9"),
        ("test.csv", "3ebb774a9ca74d05919b84a3d402986d"),
    ),
    order="shuffled",
    instead=f"for Kaggle's own file, {KAGGLE.token_help}",
)

# Exponents of power laws whose entropy at 14,077 rows is that of genuine ones (python -m benchmarks.likeness --powers).
POWERS = dict(zip(tuple(KINDS)[3:], (
    *(4.6, 3.8, 1.6, 1.65, 2.25, 2.25, 3.05, 3.25, 2.3, 0.88, 1.13),
    *(4.6, 4.45, 1.26, 5.3, 5.4, 1.45, 2.2, 2.0, 1.95, 1.7),
)))  # fmt: skip


@DATASETS.add
class Avazu(DataSet):
    name = "avazu"
    columns = tuple(Column(name, kind) for name, kind in KINDS.items())
    dense = (Dense("hour", of=lambda hour: hour % 100),)
    fields = tuple(KINDS)[3:]
    splits = ("random", "random-90", "last-day")
    separator = ","
    header = True
    options: ClassVar = {
        "authors_hour": "parse the hour as the authors' code does, as a unix time stamp, which makes it the constant "
        "ln 6"
    }
    of_papers = True
    full_rows = 40_428_967
    full_clicks = 6_865_066
    table_sizes = (
        *(7, 7, 4737, 7745, 26, 8552, 559, 36, 2686408, 6729486, 8251),
        *(5, 4, 2626, 8, 9, 435, 4, 68, 172, 60),
    )
    downloads: ClassVar = {"avazu": (KAGGLE, MIRROR), KAGGLE.source: (KAGGLE,), MIRROR.source: (MIRROR,)}
    served: ClassVar = {"download": ("avazu", KAGGLE.source)}
    planted = Planted(
        stream=1,
        click_rate=0.170,
        best_auc=0.78,
        dense={"hour": Hours(date(2014, 10, 21), days=10)},
        tied=0.9,
        powers=POWERS,
        first={"C1": 1001, "C14": 375, "C15": 20, "C16": 20, "C17": 112, "C19": 33, "C20": 100_000, "C21": 1},
        zero={"C20": -1},  # the real C20 writes it where it has no value
    )

    def features(self) -> tuple[Dense, ...]:
        # 14102100 and all others, as seconds since 1970, are in hour 5 of one day.
        return (Dense("hour", of=lambda hour: hour // 3600 % 24),) if self.chosen["authors_hour"] else self.dense
