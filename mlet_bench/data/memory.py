"""Memory that is used again: a preparation makes and drops arrays of megabytes, thousands of times."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pyarrow as pa

LARGEST = 30 << 20  # bytes of an array to keep the memory of; the C library learns up to 32 MB


@contextmanager
def kept_memory() -> Iterator[None]:
    """Within it the memory of a dropped array serves the next one, for numpy and for Arrow.

    By default the C library hands blocks above 128 KB back to the system, which gives the next one as fresh pages:
    that fault for every 4 KB cost a third of the preparation. It learns from a large block that is dropped to keep
    blocks of that size, and Arrow joins in by allocating from it too. Elsewhere than on Linux this changes nothing.
    """
    usual = pa.default_memory_pool()
    np.empty(LARGEST, np.uint8)
    pa.set_memory_pool(pa.system_memory_pool())
    try:
        yield
    finally:
        pa.set_memory_pool(usual)
