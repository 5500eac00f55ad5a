"""A pass over the data: a bar while it runs on a terminal, a line with its speed when it is done."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm


@contextmanager
def one_pass(name: str, unit: str, total: int | None = None) -> Iterator["Count"]:
    """Yield the count to update; at the end say on stderr how many units there were, in which time."""
    clock = time.perf_counter()
    with tqdm(desc=name, total=total, unit=f" {unit}", unit_scale=True, disable=None, leave=False) as bar:
        count = Count(bar)
        yield count
    seconds = time.perf_counter() - clock
    speed = count.n / max(seconds, 1e-9)
    print(f"{name}: {count.n:,} {unit} in {seconds:.1f} s, {speed:,.0f} {unit}/s", file=sys.stderr)


class Count:
    """A bar that counts also where it is not shown."""

    def __init__(self, bar: tqdm):
        self._bar, self.n = bar, 0

    def update(self, count: int) -> None:
        """``count`` more are done."""
        self.n += count
        self._bar.update(count)

    def expect(self, total: int) -> None:
        """There will be about ``total``, for the time left."""
        self._bar.total = total
