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
