"""Trainings that follow from others: plans that ask for runs round by round; what all ask for is trained at once."""

from collections.abc import Callable, Generator, Sequence
from pathlib import Path

from mlet_bench.errors import BenchError, RunsFailed, gone_on
from mlet_bench.runs import RunFolder
from mlet_bench.spec import RunSpec

Runs = Sequence[tuple[RunSpec, Path]]  # spec and folder of each
Failures = dict[Path, BenchError]
Rounds = Generator[Runs, Failures, None]  # gives runs to train, and is sent those of them that failed


def once(runs: Runs) -> Rounds:
    """Ask for the runs that are not there.

    Raises:
        RunsFailed: some failed.
    """
    due = [(spec, folder) for spec, folder in runs if not RunFolder(folder).holds(spec)]
    if due and (failures := (yield due)):
        raise RunsFailed(failures)


def train_rounds(plans: Sequence[tuple[Runs, Rounds]], train_all: Callable[[Runs], object]) -> None:
    """Go on with all plans at once, so that runs of equal shape find each other in one pack.

    Args:
        plans: the runs that each is for, and what it asks for.
        train_all: trains runs, as ``train_together`` does.

    Raises:
        RunsFailed: after the last round, if some failed; a plan that is not possible fails all runs that it is for.
    """
    failures: Failures = {}
    sent: dict[int, Failures | None] = dict.fromkeys(range(len(plans)))
    try:
        while sent:
            due: dict[int, Runs] = {}
            for number, found in sent.items():
                runs, plan = plans[number]
                try:
                    due[number] = next(plan) if found is None else plan.send(found)
                except StopIteration:
                    continue
                except RunsFailed as error:
                    failures |= error.reasons
                except BenchError as error:
                    failures |= {folder: error for _, folder in runs}
            failed: Failures = {}
            if due:
                with gone_on(failed):
                    train_all([run for wanted in due.values() for run in wanted])
            sent = {
                number: {folder: failed[folder] for _, folder in wanted if folder in failed}
                for number, wanted in due.items()
            }
    finally:
        for _, plan in plans:
            plan.close()  # a plan may have something to write down when it is cut off
    if failures:
        raise RunsFailed(failures)
