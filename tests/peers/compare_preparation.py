"""Preparation of Criteo's raw file: facebookresearch/dlrm's and the fork's against ours."""

from pathlib import Path

from agreements import Agreement, comparison
from checkouts import DLRM, FORK
from formula import write_criteo
from peer_preparation import compare, compare_splits, ours, run_peer, without_added_rows
from planted_rows import folder, genuine, planted

FORMULA_ROWS = 220  # 7 does not divide it


@comparison
def dlrm_preparation() -> list[Agreement]:
    """The peer shuffles the training rows, which is undone."""
    return [*_dlrm(planted("criteo-kaggle"), "planted"), *_dlrm(formula_file(), "by formula")]


@comparison
def dlrm_preparation_genuine() -> list[Agreement]:
    """The same on genuine rows."""
    return _dlrm(genuine(), "genuine")


@comparison
def fork_preparation() -> list[Agreement]:
    """Without the rows that the fork makes up; these shift its splits, too, which are not compared."""
    lines = []
    for on, raw in {"planted": planted("criteo-kaggle", 3000), "by formula": formula_file()}.items():
        mine, theirs = ours(raw), run_peer(FORK, "fork", raw, "none,0")
        on = f"{on}, without {len(theirs.label) - len(mine.label)} rows of zeros that the peer adds"
        lines += compare(FORK, mine, without_added_rows(theirs, len(mine.label)), on)
    return lines


def _dlrm(raw: Path, on: str) -> list[Agreement]:
    mine, theirs = ours(raw), run_peer(DLRM, "head", raw, "total,5")
    return [*compare(DLRM, mine, theirs, on), compare_splits(DLRM, mine, theirs, on)]


def formula_file() -> Path:
    """A raw file with many empty and negative values."""
    raw = folder() / "formula.txt"
    if not raw.exists():
        write_criteo(raw, FORMULA_ROWS)
    return raw
