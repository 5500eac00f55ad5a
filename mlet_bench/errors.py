"""The exceptions that are meant for the user's eyes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar


class BenchError(ValueError):
    """Bad input or a failed check. The message is a sentence: what was found, where, and what to do.

    The command line prints it without a traceback and exits with status 2.

    Attributes:
        kind: what kind of failure it is, for ``failed.json``; code reads this and never the sentence.
    """

    kind: ClassVar[str] = "other"


class DivergedError(BenchError):
    """A training whose loss, or a score that, is not finite."""

    kind = "diverged"


class DeployRefusedError(BenchError):
    """The model to be served does not predict what was trained."""

    kind = "refused-deploy"


class OutOfMemoryError(BenchError):
    """An allocation failed, or would fail."""

    kind = "memory"


class OverBudgetError(BenchError):
    """A method that cannot store as little as a budget allows."""

    kind = "over-budget"


class UnreadableError(BenchError):
    """A raw file that is not in a form that is read.

    Attributes:
        text: what it has at the place of the fault, a line or the file's start.
    """

    def __init__(self, sentence: str, text: bytes):
        super().__init__(sentence)
        self.text = text


class RunsFailed(BenchError):
    """Some runs of a cell failed; the others are finished and stored.

    Attributes:
        reasons: an error for each failed run, by its folder.
    """

    def __init__(self, reasons: dict[Path, BenchError]):
        super().__init__("; ".join(dict.fromkeys(map(str, reasons.values()))))
        self.reasons = reasons


@contextmanager
def gone_on(failures: dict[Path, BenchError]) -> Iterator[None]:
    """Keep the failures of single runs, for after what the others still need."""
    try:
        yield
    except RunsFailed as error:
        failures |= error.reasons


class Stopped(SystemExit):
    """A signal asked the process to end and it did, with everything stored that is needed to go on.

    Attributes:
        code: 128 and the signal's number, as shells count.
        sentence: what was stored and how to go on.
    """

    def __init__(self, signal: int, sentence: str):
        super().__init__(128 + signal)
        self.sentence = sentence


def out_of_memory(error: Exception) -> OutOfMemoryError | None:
    """The sentence for an allocation that failed, on a GPU or in main memory; None if the error is another one."""
    on_gpu = type(error).__name__ == "OutOfMemoryError"  # torch's, named so that torch need not be imported
    # torch raises a plain RuntimeError where main memory is short, and only its words tell.
    if not on_gpu and not isinstance(error, MemoryError) and "can't allocate memory" not in str(error):
        return None
    reason = str(error).strip().partition("\n")[0] or type(error).__name__
    where, instead = ("the GPU", "the CPU (device: cpu), ") if on_gpu else ("this machine", "")
    ways = f"use a smaller k, fewer rows (max_rows), {instead}fewer jobs at once, or a machine with more memory"
    return OutOfMemoryError(f"out of memory on {where} ({reason}): {ways}")
