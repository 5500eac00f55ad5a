"""Commands of mlet-bench in processes of their own, begun at once: forked from one that has imported everything.

A test that kills a command, limits its files or gives it another environment needs a process; importing torch and
MLflow anew for each would take most of the suite's time.
"""

import atexit
import ctypes
import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import traceback
from functools import cache
from pathlib import Path

STAGES = ("cell", "overhead", "prepare", "spectrum", "synthesize")
TRAINING = ("torch", "polars", *(f"mlet_bench.stages.{stage}" for stage in STAGES))
TRAINING += ("mlet_bench.data.prepare", "mlet_bench.data.generate")
STORE = ("mlflow", "sqlalchemy", "alembic.util", "mlet_bench.tracking.sync", "mlet_bench.tracking.restore")


class Done(subprocess.CompletedProcess):
    """What came of a command.

    Attributes:
        calls: how often it wrote, called fsync and renamed, with ``disk`` alone.
    """

    calls: list[int]


def run(
    *words,
    imported: tuple[str, ...] = TRAINING,
    kill: tuple | None = None,
    largest_file: int = 0,
    seconds: int = 300,
    disk: tuple | None = None,
    preload: str = "",
) -> Done:
    """Run a command of mlet-bench in a fork of a process that has ``imported`` modules; its environment is ours.

    Args:
        kill: (place, call, signal), see ``kill_at.arm``.
        largest_file: bytes that a file may have; 0 for any number.
        seconds: the command is ended after as many, its status is then -14.
        disk: (which call, its number, errno, whether all after it fail too), see ``failing_disk.c``.
        preload: that file, compiled; needed with ``disk``.
    """
    server = _server(imported, preload)
    with tempfile.TemporaryDirectory() as folder:
        request = {"words": [str(word) for word in words], "kill": kill, "largest_file": largest_file, "disk": disk}
        request |= {"seconds": seconds, "environment": dict(os.environ), "cwd": os.getcwd(), "folder": folder}
        server.stdin.write(json.dumps(request) + "\n")
        server.stdin.flush()
        status = int(server.stdout.readline())
        said = [(Path(folder) / name).read_text() for name in ("out", "err")]
        done = Done(words, status, *said)
        done.calls = json.loads((Path(folder) / "calls").read_text()) if disk and status >= 0 else []
    return done


@cache
def _server(imported: tuple[str, ...], preload: str) -> subprocess.Popen:
    """The process to fork from; it ends with this one, at the end of its input."""
    words, quiet = [sys.executable, __file__, *imported], os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"}
    quiet |= {"LD_PRELOAD": preload} if preload else {}
    server = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=quiet)
    atexit.register(server.communicate)
    return server


def serve() -> None:
    """Answer each line of the input with the status of the process that it asked for."""
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            os._exit(_become(json.loads(line)))
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def _become(request: dict) -> int:
    signal.alarm(request["seconds"])
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    for name, stream in (("out", sys.stdout), ("err", sys.stderr)):
        os.dup2(os.open(f"{request['folder']}/{name}", os.O_WRONLY | os.O_CREAT), stream.fileno())
    try:
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(1)
        if request["kill"]:
            from kill_at import arm

            arm(*request["kill"])
        if request["largest_file"]:
            resource.setrlimit(resource.RLIMIT_FSIZE, (request["largest_file"],) * 2)
        from mlet_bench.cli import main

        if request["disk"]:
            ctypes.CDLL(None).fail_at(*request["disk"])
        return main(request["words"])
    except SystemExit as end:
        return int(end.code or 0)
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        if request["disk"]:
            calls = [ctypes.CDLL(None).calls_of(which) for which in range(3)]
            ctypes.CDLL(None).fail_at(0, 0, 0, 0)
            Path(request["folder"], "calls").write_text(json.dumps(calls), encoding="utf-8")


if __name__ == "__main__":
    for module in sys.argv[1:]:
        importlib.import_module(module)
    serve()
