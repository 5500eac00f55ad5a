"""Folders that one process at a time works in: a lock that the system drops when the process ends, however it ends."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from mlet_bench.errors import BenchError


@contextmanager
def owned(folder: Path, doing: str) -> Iterator[None]:
    """Refuse a folder in which another process works: one that outlived its Snakemake, for instance.

    Args:
        folder: the lock stands beside it, so that it may be renamed or removed by the process that owns it.
        doing: "training", in the sentence.

    Raises:
        BenchError: another process has it.
    """
    folder = folder.resolve()
    if not folder.name:
        raise BenchError(f"{folder} is the root of the file system: give a folder below it")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            stack.enter_context(FileLock(folder.with_name(f".{folder.name}.lock"), blocking=False))
        except Timeout:
            raise BenchError(
                f"another process is {doing} in {folder}, maybe one that a killed snakemake left behind: wait for it "
                "or end it, then run this again"
            ) from None
        except NotImplementedError:
            pass  # a file system without locks
        yield
