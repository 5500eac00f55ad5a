"""Numbers as options have them: one that cannot be is refused with a sentence, before anything is read."""

import argparse
import math


def count(text: str) -> int:
    """A whole number of 1 or more."""
    return _whole(text, 1)


def whole(text: str) -> int:
    """A whole number of 0 or more."""
    return _whole(text, 0)


def positive(text: str) -> float:
    """A number above 0, finite."""
    value = finite(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def not_negative(text: str) -> float:
    """A number of 0 or more, finite."""
    value = finite(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0")
    return value


def _whole(text: str, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None
    if not least <= value < 2**63:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from {least} to 2^63 - 1")
    return value


def finite(text: str) -> float:
    """A number that is neither infinite nor NaN."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from None
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text} is not finite")
    return value
