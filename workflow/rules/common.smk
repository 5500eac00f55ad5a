# What every stage shares: the checked configuration, where files lie, and the code that decides each stage's result.
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, workflow.basedir)
from snakemake.exceptions import WorkflowError

from mlet_bench.config import cell_training, cells, check_config
from mlet_bench.errors import BenchError
from mlet_bench.lineage import code_digests
from mlet_bench.spec import ARMS, DatasetSchema, RunSpec
from mlet_bench.training.memory import OVERHEAD, training_need

try:
    config = check_config(config)
except BenchError as error:
    raise WorkflowError(str(error)) from None

RESULTS = f"results/{config['profile']}"
DATA = f"{RESULTS}/data/{{dataset}}"
CELL = f"{RESULTS}/runs/{{dataset}}/{{model}}/{{cell}}"
LOG = f"{RESULTS}/logs/{{dataset}}/{{model}}/{{cell}}"
CELLS = {cell.folder: cell for cell in cells(config)}
CLI = Path(sys.executable).parent
# A training looks at test for the authors' selection alone.
TRAINING_SPLITS = ["train", "val", "test"] if config["training"]["authors_selection"] else ["train", "val"]

# `auto` is settled once, so that jobs on a CPU do not queue for a GPU that is not there.
DEVICE = config["device"]
if DEVICE == "auto":
    DEVICE = "cuda" if shutil.which("nvidia-smi") else "cpu"
GPUS = 1 if DEVICE == "cuda" else 0
# Without a limit Snakemake would start any number of GPU jobs at once; --resources gpu=2 allows two.
if "gpu" not in workflow.global_resources:
    workflow.global_resources["gpu"] = 1

# Jobs run the mlet-bench of the Python that runs Snakemake, activated or not.
shell.prefix(f"export PATH='{CLI}':$PATH MLFLOW_DISABLE_TELEMETRY=true; set -euo pipefail; ")


wildcard_constraints:
    dataset="|".join(config["datasets"]),
    model="|".join(config["models"]),
    cell=r"[a-z-]+-d\d+(-k\d+)?(-e\d+)?",


def seeds(pattern):
    """A file of each run of a cell."""
    return expand(f"{CELL}/seed{{seed}}/{pattern}", seed=config["seeds"], allow_missing=True)


def every(pattern):
    """A file of each run of each cell."""
    return expand(
        f"{RESULTS}/runs/{{cell}}/seed{{seed}}/{pattern}",
        cell=CELLS,
        seed=config["seeds"],
    )


def made_by_every_stage():
    """What the report rests on, and the models to keep, asked for by name.

    Snakemake deletes the files of a job that fails when it is run again, and would then pass over it because the older
    results of the later stages are still there.
    """
    raw = [name for name, dataset in config["datasets"].items() if dataset["source"] == "synthesize"]
    return [
        expand(f"{RESULTS}/raw/{{dataset}}.txt", dataset=raw),
        expand(f"{DATA}/schema.json", dataset=config["datasets"]),
        [every(name) for name in ("spec.json", "collapsed.json", "metrics.json", "spectrum.parquet")],
        every("collapsed.safetensors") if config["keep"] != "metrics" else [],
        every("model.safetensors") if config["keep"] == "all" else [],
    ]


def unless_kept(level, files):
    """Files that go once the stages that read them are done, unless the config keeps that much of a run."""
    levels = ("metrics", "collapsed", "all")
    return files if levels.index(config["keep"]) >= levels.index(level) else temp(files)


def code(command):
    """The code that decides a command's result, as a parameter: a change in it, and only that, runs the stage again."""
    return code_digests(f"mlet_bench.cli:_{command}")


def download_source(name, dataset):
    """What `mlet-bench download` is asked for."""
    if dataset["source"] == "sample":
        return f"{name}-sample"
    # The mirror of Avazu is shuffled: a split by time needs the original file.
    return f"{name}-kaggle" if dataset["split"] == "last-day" else name


def raw_file(wildcards):
    """The raw file, or for downloads the note that says where it lies."""
    dataset = config["datasets"][wildcards.dataset]
    if dataset["source"] == "file":
        return dataset["file"]
    if dataset["source"] == "synthesize":
        return f"{RESULTS}/raw/{wildcards.dataset}.txt"
    return f"data/raw/{download_source(wildcards.dataset, dataset)}.path"


def preparation_options(wildcards):
    """The options of a data set's preparation."""
    dataset = config["datasets"][wildcards.dataset]
    return as_options({name: dataset[name] for name in ("split", "max_rows", "authors_hour") if name in dataset})


def as_options(settings):
    """Settings as options of the command line; one that is false is left out."""
    words = []
    for name, value in settings.items():
        if value is not False:
            words += [f"--{name.replace('_', '-')}"]
            words += [] if value is True else map(str, value if isinstance(value, list) else [value])
    return " ".join(words)


def training_options(wildcards):
    """A cell's arm and widths and the training block, as options of the command line."""
    cell = CELLS[f"{wildcards.dataset}/{wildcards.model}/{wildcards.cell}"]
    tuning = {"embedding_lr_factors": config["embedding_lr_factors"]} if ARMS[cell.arm].tunes_lr else {}
    widths = {"dim": cell.dim} | ({"inner_dim": cell.inner_dim} if cell.inner_dim is not None else {})
    return as_options({"arm": cell.arm} | widths | cell_training(config, cell) | tuning)


def training_mb(wildcards, input):
    """Memory of a cell's training in MB, from the sizes of its tables and data: for clusters, see docs/scale-out.md."""
    open(input.schema).close()  # while the data set is not prepared the system's own error tells Snakemake to ask again
    cell = CELLS[f"{wildcards.dataset}/{wildcards.model}/{wildcards.cell}"]
    schema = DatasetSchema.read(Path(input.schema).parent)
    widths = (cell.model, cell.arm, cell.dim, cell.inner_dim)
    spec = RunSpec(schema.name, schema.fingerprint, *widths, seed=0, **cell_training(config, cell))
    return (training_need(spec, schema).bytes + OVERHEAD) // 2**20 + 1


def run_folders(wildcards):
    """The run folders of a cell."""
    return expand(f"{CELL}/seed{{seed}}", seed=config["seeds"], **wildcards)


def baseline_of(cell):
    """The cell of `single` that one is compared with; None where there is none, and for `single` itself."""
    other = replace(cell, arm="single", inner_dim=None)
    return other.folder if cell.arm != "single" and other.folder in CELLS else None


def baseline_folders(wildcards):
    """The run folders of the cell that a cell is compared with."""
    baseline = baseline_of(CELLS[f"{wildcards.dataset}/{wildcards.model}/{wildcards.cell}"])
    return expand(f"{RESULTS}/runs/{baseline}/seed{{seed}}", seed=config["seeds"])


def compared(pattern):
    """A file of each run that is compared with another; longer trainings are read on validation alone."""
    main = [name for name, cell in CELLS.items() if cell.epochs == config["training"]["epochs"]]
    found = [name for name in main if baseline_of(CELLS[name])]
    return expand(f"{RESULTS}/runs/{{cell}}/seed{{seed}}/{pattern}", cell=found, seed=config["seeds"])


def overhead_options(wildcards):
    """The grid, the overhead block and the recipe, as options of the command line."""
    names = ("recipe", "optimizer", "lr", "bottom", "top")
    recipe = {name: config["training"][name] for name in names}
    return as_options({"dims": config["dims"], "inner_dims": config["inner_dims"]} | config["overhead"] | recipe)
