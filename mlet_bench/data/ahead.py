"""Ahead of the consumer: items are made in threads while others are worked on, and come in their order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(items: Iterable[Item]) -> Iterator[Item]:
    """The same items in the same order; what making one raises is raised where it would be taken."""
    end = object()
    with ThreadPoolExecutor(1) as maker:
        iterator = iter(items)
        waiting = maker.submit(next, iterator, end)
        while (item := waiting.result()) is not end:
            waiting = maker.submit(next, iterator, end)
            yield item


def in_threads(function: Callable[[Item], Result], items: Iterable[Item], threads: int) -> Iterator[Result]:
    """``function`` of each item, a few at a time, in the items' order; of several errors the first item's is raised."""
    with ThreadPoolExecutor(threads) as workers:
        waiting = deque()
        iterator = iter(items)
        while True:
            try:
                waiting.append(workers.submit(function, next(iterator)))
            except StopIteration:
                break
            except Exception:
                for result in waiting:  # what stands before the item that could not be made is at fault first
                    result.result()
                raise
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
