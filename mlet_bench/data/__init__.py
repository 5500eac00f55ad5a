"""From a raw file, fetched or made, to a Parquet data set, and from there to tensors.

A data set is one file that describes it, a subclass of ``mlet_bench.data.base.DataSet``, and one line here.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mlet_bench.registry import Registry

if TYPE_CHECKING:
    from mlet_bench.data.base import DataSet

DATASETS: Registry[type["DataSet"]] = Registry(
    "data set",
    __name__,
    {
        "criteo-kaggle": "criteo",
        "avazu": "avazu",
        "table": "table",
        "flights": "flights",
    },
)


def dataset_of(name: str, entry: Mapping[str, Any]) -> type["DataSet"]:
    """The data set that an entry of a config is of: what it says, else the one of its name, else a table of one's own.

    Raises:
        BenchError: there is none of that name.
    """
    tables = entry.get("source") == "table" or (entry.get("source") == "prepared" and name not in DATASETS)
    return DATASETS[entry.get("of") or ("table" if tables else name)]


def described(name: str, entry: Mapping[str, Any]) -> "DataSet":
    """That data set with the split and the options that the entry gives it.

    Raises:
        BenchError: there is none of that name, or it cannot have such options.
    """
    kind = dataset_of(name, entry)
    return kind({option: entry[option] for option in kind.options if option in entry}, entry.get("split"))
