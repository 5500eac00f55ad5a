"""The exceptions that are meant for the user's eyes."""

from pathlib import Path


class BenchError(ValueError):
    """Bad input or a failed check. The message is a sentence: what was found, where, and what to do.

    The command line prints it without a traceback and exits with status 2.
    """


class RunsFailed(BenchError):
    """Some runs of a cell failed; the others are finished and stored.

    Attributes:
        reasons: a sentence a failed run, by its folder.
    """

    def __init__(self, reasons: dict[Path, str]):
        super().__init__("; ".join(reasons.values()))
        self.reasons = reasons


class Stopped(SystemExit):
    """A signal asked the process to end and it did, with everything stored that is needed to go on.

    Attributes:
        code: 128 and the signal's number, as shells count.
        sentence: what was stored and how to go on.
    """

    def __init__(self, signal: int, sentence: str):
        super().__init__(128 + signal)
        self.sentence = sentence


def out_of_memory(error: Exception) -> BenchError | None:
    """The sentence for an allocation that failed, on a GPU or in main memory; None if the error is another one."""
    on_gpu = type(error).__name__ == "OutOfMemoryError"  # torch's, named so that torch need not be imported
    if not on_gpu and not isinstance(error, MemoryError) and "can't allocate memory" not in str(error):
        return None
    reason = str(error).strip().partition("\n")[0] or type(error).__name__
    where, instead = ("the GPU", "the CPU (device: cpu), ") if on_gpu else ("this machine", "")
    ways = f"use a smaller k, fewer rows (max_rows), {instead}fewer jobs at once, or a machine with more memory"
    return BenchError(f"out of memory on {where} ({reason}): {ways}")
