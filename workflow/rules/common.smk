# What every stage shares: the checked configuration, where files lie, and the code that decides each stage's result.
import sys
from pathlib import Path

sys.path.insert(0, workflow.basedir)
from snakemake.exceptions import WorkflowError

from mlet_bench.config import cells, check_config
from mlet_bench.errors import BenchError

try:
    config = check_config(config)
except BenchError as error:
    raise WorkflowError(str(error)) from None

RESULTS = f"results/{config['profile']}"
DATA = RESULTS + "/data/{dataset}"
CELL = RESULTS + "/runs/{dataset}/{model}/{cell}"
LOG = RESULTS + "/logs/{dataset}/{model}/{cell}"
CELLS = {cell.folder: cell for cell in cells(config)}
CLI = Path(sys.executable).parent

# `auto` is settled once, so that jobs on a CPU do not queue for a GPU that is not there.
DEVICE = config["device"]
if DEVICE == "auto":
    DEVICE = "cuda" if Path("/dev/nvidiactl").exists() else "cpu"
GPUS = 1 if DEVICE == "cuda" else 0
# Without a limit Snakemake would start any number of GPU jobs at once; --resources gpu=2 allows two.
if "gpu" not in workflow.global_resources:
    workflow.global_resources["gpu"] = 1

# Jobs run the mlet-bench of the Python that runs Snakemake, activated or not.
shell.prefix(
    f"export PATH='{CLI}':$PATH MLFLOW_DISABLE_TELEMETRY=true; set -euo pipefail; "
)


wildcard_constraints:
    dataset="|".join(config["datasets"]),
    model="|".join(config["models"]),
    cell=r"[a-z-]+-d\d+(-k\d+)?",


def seeds(pattern):
    """A file of each run of a cell."""
    return expand(
        f"{CELL}/seed{{seed}}/{pattern}", seed=config["seeds"], allow_missing=True
    )


def every(pattern):
    """A file of each run of each cell."""
    return expand(
        f"{RESULTS}/runs/{{cell}}/seed{{seed}}/{pattern}",
        cell=CELLS,
        seed=config["seeds"],
    )


def unless_kept(level, files):
    """Files that go once the stages that read them are done, unless the config keeps that much of a run."""
    levels = ("metrics", "collapsed", "all")
    return files if levels.index(config["keep"]) >= levels.index(level) else temp(files)


def code(*patterns):
    """Modules that decide a stage's result, as inputs: a change in their content, and only that, runs it again."""
    package = Path(workflow.basedir, "mlet_bench")
    found = {pattern: sorted(package.glob(pattern)) for pattern in patterns}
    missing = [pattern for pattern in patterns if not found[pattern]]
    if missing:
        raise WorkflowError(f"no module matches {missing} in {package}")
    return [
        str(file.relative_to(workflow.basedir))
        for files in found.values()
        for file in files
    ]
