"""Work ahead: the items' order, the errors' order, and no more ahead than is said."""

import threading
import time

import pytest

from mlet_bench.data.ahead import ahead, in_threads


def numbers(n, then=None):
    yield from range(n)
    if then is not None:
        raise then


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("n", [0, 1, 4, 30])
def test_results_come_in_the_items_order(threads, n):
    def slow(number):
        time.sleep(0.002 * (number % 3))
        return number * number

    assert list(in_threads(slow, ahead(numbers(n)), threads)) == [number * number for number in range(n)]


def test_the_first_items_error_is_raised_whichever_came_first():
    def faulty(number):
        time.sleep(0.02 if number == 3 else 0)
        if number >= 3:
            raise ValueError(f"item {number}")
        return number

    found = []
    with pytest.raises(ValueError, match="item 3"):
        for result in in_threads(faulty, numbers(10, then=RuntimeError("no more")), 4):
            found.append(result)
    assert found == [0, 1, 2]
    with pytest.raises(ValueError, match="item 3"):  # before the source's own error, which is met at item 5
        list(in_threads(faulty, numbers(5, then=RuntimeError("no more")), 4))


@pytest.mark.parametrize("n", [0, 2, 7])
def test_the_sources_error_comes_after_the_items_before_it(n):
    found = []
    with pytest.raises(RuntimeError, match="no more"):
        for result in in_threads(lambda number: number, ahead(numbers(n, then=RuntimeError("no more"))), 3):
            found.append(result)
    assert found == list(range(len(found)))


def test_no_more_is_made_than_is_taken_and_worked_on():
    made, lock = [], threading.Lock()

    def source():
        for number in range(50):
            with lock:
                made.append(number)
            yield number

    for taken, _ in enumerate(in_threads(lambda number: number, source(), 2), start=1):
        assert len(made) <= taken + 3
