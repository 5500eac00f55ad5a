"""SIGTERM, Ctrl-C and SIGHUP, of a terminal that is closed: ends that leave nothing half-written, and that a training
obeys where it can be stored.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mlet_bench.errors import Stopped

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@contextmanager
def stop_at_once() -> Iterator[None]:
    """Turn a signal into ``Stopped``, so that temporary files are cleaned up on the way out."""

    def stop(number, frame):
        raise Stopped(number, "stopped; the same command begins this step again")

    with _heard_by(stop):
        yield


@contextmanager
def stop_requests() -> Iterator[Callable[[], int | None]]:
    """Yield a function that tells which signal asked to stop, None so far; a second signal stops at once.

    Example::

        with stop_requests() as asked:
            for _ in steps:
                if asked() is not None:
                    store_everything()
                    raise Stopped(asked(), "stored; the same command goes on")
    """
    heard: list[int] = []

    def note(number, frame):
        heard.append(number)
        if len(heard) > 1:
            raise Stopped(number, "stopped at once; the same command goes on from the last checkpoint")

    with _heard_by(note):
        yield lambda: heard[0] if heard else None


@contextmanager
def _heard_by(handler: Callable) -> Iterator[None]:
    """Signals can be heard in the main thread alone: in another nothing changes."""
    heard = SIGNALS if threading.current_thread() is threading.main_thread() else ()
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:  # nohup asked for it
        heard = tuple(number for number in heard if number != signal.SIGHUP)
    before = {number: signal.signal(number, handler) for number in heard}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
