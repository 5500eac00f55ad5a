"""From a raw file, fetched or made, to a Parquet data set, and from there to tensors.

A data set is one file that describes it, a subclass of ``mlet_bench.data.base.DataSet``, and one line here.
"""

from typing import TYPE_CHECKING

from mlet_bench.registry import Registry

if TYPE_CHECKING:
    from mlet_bench.data.base import DataSet

DATASETS: Registry[type["DataSet"]] = Registry(
    "data set",
    __name__,
    {
        "criteo-kaggle": "criteo",
        "avazu": "avazu",
    },
)
