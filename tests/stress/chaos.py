"""Kills at random moments: processes below another one, what they are doing, and four ways to end them."""

import os
import random
import signal
import subprocess
from collections import Counter
from pathlib import Path


def descendants(pid: int) -> list[int]:
    """Every process below ``pid``, parents first."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found, due = [], [pid]
    while due:
        below = children.get(due.pop(0), [])
        found += below
        due += below
    return found


def stage_of(pid: int) -> str | None:
    """The command of mlet-bench that a process runs, None for any other process."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    except OSError:
        return None
    place = next((i for i, word in enumerate(words) if word.endswith("/mlet-bench")), None)
    return None if place is None else words[place + 1]


def send(pids: list[int], number: int) -> None:
    """Send a signal to those that are still there."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def strike(process: subprocess.Popen, generator: random.Random, kills: Counter) -> list[int]:
    """End a running snakemake, or one of its jobs, in a way drawn at random; return the jobs that outlive it.

    ``power``: everything is killed at once. ``scheduler``: everything is told to end. ``orphans``: snakemake is killed
    and its jobs go on. ``job``: one job is killed and snakemake goes on.
    """
    below = descendants(process.pid)
    jobs = {pid: stage for pid in below if (stage := stage_of(pid))}
    way = generator.choice(("power", "scheduler", "orphans", "job"))
    if way == "job" and not jobs:
        way = "power"
    match way:
        case "power":
            send([process.pid, *below], signal.SIGKILL)
        case "scheduler":
            send([process.pid, *below], signal.SIGTERM)
        case "orphans":
            send([process.pid], signal.SIGKILL)
        case "job":
            send([generator.choice(list(jobs))], signal.SIGKILL)
    if way != "job":
        process.wait()
    for stage in sorted(set(jobs.values())) or ["between jobs"]:
        kills[f"{way:9s} {stage}"] += 1
    return list(jobs) if way == "orphans" else []
