"""Commands on a disk that is broken or full at their Nth write, fsync or rename: survived, or refused by a sentence,
and once the disk is whole the same command ends in the right numbers.
"""

import errno
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import forked
from fake_results import make_results, small_config
from kill_at import numbers
from staged import commands, give, made

KINDS = ("write", "fsync", "rename")  # in the order of failing_disk.c
WAYS = {"EIO": (errno.EIO, 0), "ENOSPC": (errno.ENOSPC, 1)}  # errno, and whether all later calls fail too
SOURCE = Path(__file__).with_name("failing_disk.c")


def compiled(folder: Path) -> str:
    """The library to preload."""
    library = folder / "failing_disk.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", library, SOURCE, "-ldl"], check=True)
    return str(library)


@dataclass(frozen=True)
class Command:
    """A command of mlet-bench in a folder of its own.

    Attributes:
        words: by folder.
        prepare: fill a folder with what the command needs.
        numbers: file → hash of what must be right once it has ended well.
    """

    words: Callable[[Path], tuple]
    prepare: Callable[[Path], object]
    numbers: Callable[[Path], dict[str, str]]
    imported: tuple[str, ...] = forked.TRAINING


def staged(whole: Path, stage: str) -> Command:
    """A stage of ``staged``, beside what those before it made."""

    def prepare(place: Path) -> None:
        place.mkdir()
        for earlier in list(commands(place))[: list(commands(place)).index(stage)]:
            give(whole, place, earlier)

    def found(place: Path) -> dict[str, str]:
        return {name: each for name, each in numbers(place).items() if name in made(stage)}

    return Command(lambda place: commands(place)[stage], prepare, found)


def tracked(whole: Path, word: str) -> Command:
    """``report`` or ``sync`` of made-up results that ``whole`` holds."""

    def found(place: Path) -> dict[str, str]:
        if word == "report":
            return numbers(place / "toy" / "tables")  # the pages name the folder
        done = forked.run("restore", "toy", "--out", place / "again", imported=forked.STORE)
        assert done.returncode == 0, done.stderr
        again = numbers(place / "again")
        shutil.rmtree(place / "again")
        return again

    imported = forked.STORE if word == "sync" else ("torch", "mlet_bench.report.page")
    return Command(lambda place: (word, place / "toy"), lambda place: shutil.copytree(whole, place), found, imported)


def made_up(place: Path) -> Path:
    """Results for ``tracked``."""
    make_results(place, small_config(seeds=[0]))
    return place


def numbers_of_calls(last: int, attempts: int) -> Iterable[int]:
    """The last, the first, and as many between as there may be."""
    return sorted({last - (last - 1) * part // max(attempts - 1, 1) for part in range(attempts)})


def fail_everywhere(command: Command, place: Path, preload: str, attempts: int) -> tuple[dict[str, Counter], list[str]]:
    """Let calls of each kind fail in each way, at most ``attempts`` of each; what came of them by kind and way.

    Returns:
        the counts, and a line for each that ended in a traceback, in wrong numbers, or could not be repeated.
    """
    right = _run(command, place / "right", preload, (0, 0, 0, 0))
    assert right.returncode == 0, right.stderr
    expected = command.numbers(place / "right")
    assert expected
    came, wrong = {}, []
    for kind, last in enumerate(right.calls):
        for way, (number, lasting) in WAYS.items():
            counts = came[f"{KINDS[kind]} {way}"] = Counter()
            for nth in numbers_of_calls(last, attempts) if last else ():
                outcome, said = _one(command, place / "cut", preload, (kind, nth, number, lasting), expected)
                counts[outcome] += 1
                if outcome == "wrong":
                    wrong.append(f"{KINDS[kind]} {nth} of {last}, {way}: {said}")
    return came, wrong


def _one(command: Command, place: Path, preload: str, disk: tuple, expected: dict[str, str]) -> tuple[str, str]:
    done = _run(command, place, preload, disk)
    try:
        if "Traceback" in done.stderr or done.returncode not in (0, 2):
            return "wrong", f"status {done.returncode}: {done.stderr[-1500:]}"
        if done.returncode == 0 and command.numbers(place) != expected:
            return "wrong", "other numbers, status 0"
        again = forked.run(*command.words(place), imported=command.imported)
        if again.returncode or command.numbers(place) != expected:
            return "wrong", f"again: status {again.returncode}, {again.stderr[-1500:]}; after {done.stderr[-500:]}"
        left = [path.name for path in place.rglob("*.partial*")]
        return ("wrong", f"left {left}") if left else ("survived" if done.returncode == 0 else "refused", "")
    finally:
        shutil.rmtree(place)


def _run(command: Command, place: Path, preload: str, disk: tuple) -> forked.Done:
    command.prepare(place)
    return forked.run(*command.words(place), imported=command.imported, disk=disk, preload=preload)
