"""One step ahead: the next item is made in a thread while one is worked on."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def ahead(items: Iterable[Item]) -> Iterator[Item]:
    """The same items in the same order; what making one raises is raised where it would be taken."""
    end = object()
    with ThreadPoolExecutor(1) as maker:
        iterator = iter(items)
        waiting = maker.submit(next, iterator, end)
        while (item := waiting.result()) is not end:
            waiting = maker.submit(next, iterator, end)
            yield item
