"""The one exception that is meant for the user's eyes."""


class BenchError(ValueError):
    """Bad input or a failed check. The message is a sentence: what was found, where, and what to do.

    The command line prints it without a traceback and exits with status 2.
    """
