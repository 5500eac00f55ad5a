# What every stage shares: the checked configuration, where files lie, and the code that decides each stage's result.
import json
import os
import shlex
import shutil
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, workflow.basedir)
from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from snakemake.settings.enums import Quietness

if "{" in workflow.basedir:
    raise WorkflowError(f"{workflow.basedir} has braces, which Snakemake takes for wildcards: move it to another path")

from mlet_bench.arms import ARMS, BASELINE, TREATED
from mlet_bench.claims import CLAIMS
from mlet_bench.config import cell_spec, cell_training, check_config, jobs, with_homes
from mlet_bench.config_file import read_yaml
from mlet_bench.data import DATASETS, dataset_of
from mlet_bench.embeddings import METHODS
from mlet_bench.errors import BenchError, OverBudgetError
from mlet_bench.files import sealed
from mlet_bench.report import FIGURES
from mlet_bench.runs import PLAIN
from mlet_bench.spec import SPLITS, DatasetSchema
from mlet_bench.stages.cell import lacking
from mlet_bench.stages.code import code_of
from mlet_bench.stages.common import RECIPE
from mlet_bench.stages.follow import Follower
from mlet_bench.stages.plan import too_long
from mlet_bench.training.memory import CPU, OVERHEAD, free_bytes, training_need

try:
    for name in workflow.configfiles:  # Snakemake has read them, and of a key that stands twice kept the second
        read_yaml(name)
    config = check_config(with_homes(config))
except BenchError as error:
    raise WorkflowError(str(error)) from None

RESULTS = f"results/{config['profile']}"
DATA = f"{RESULTS}/data/{{dataset}}"
CELL = f"{RESULTS}/runs/{{dataset}}/{{model}}/{{cell}}"
LOG = f"{RESULTS}/logs/{{dataset}}/{{model}}/{{cell}}"
CLI = Path(sys.executable).parent

# `auto` is settled once, so that jobs on a CPU do not queue for a GPU that is not there.
DEVICE = config["device"]
if DEVICE == "auto":
    DEVICE = "cuda" if shutil.which("nvidia-smi") else "cpu"
GPUS = 1 if DEVICE == "cuda" else 0

# On a GPU runs of equal shape train in one pack, so the cells of a method at one d are one job; on a CPU each is one.
JOBS = jobs(config, together=bool(GPUS))
JOB = f"{RESULTS}/jobs/{{dataset}}/{{model}}/{{cell}}.done" if GPUS else f"{CELL}/runs.json"
CELLS = {cell.folder: cell for cells in JOBS.values() for cell in cells}

# Without a limit Snakemake would start any number of GPU jobs at once. Two are for one GPU: a job gives it back when its
# runs have predicted, and while their metrics are computed on the host the next one, which has waited, trains.
if "gpu" not in workflow.global_resources:
    workflow.global_resources["gpu"] = 2
# Nor does it know the machine's memory: cells that fit one by one could be started together. One that is too large
# starts alone, and its command says what it needs.
if workflow.local_exec and "mem_mb" not in workflow.global_resources and (free := free_bytes(CPU)) is not None:
    workflow.global_resources["mem_mb"] = free // 2**20


def in_prefix(word):
    """Quoted for the shell, in the prefix, which Snakemake formats: braces are doubled."""
    return shlex.quote(str(word)).replace("{", "{{").replace("}", "}}")


def stop_if_too_long():
    """Stop before a grid of weeks on a machine without a GPU, unless its config says that it is to run there."""
    if config["device"] == "auto" and DEVICE == "cpu":
        if reason := too_long(config, Path(RESULTS), workflow.cores):
            raise WorkflowError(reason)


# In the quiet way (--quiet progress) a line a finished cell stands in the place of all that Snakemake says but errors.
FOLLOWER = None
quietly = Quietness.PROGRESS in (workflow.output_settings.quiet or ())
if quietly and workflow.is_main_process and not workflow.output_settings.dryrun:
    FOLLOWER = Follower(config, Path(RESULTS))
    for handler in logger.handlers:
        if handler.name == "DefaultStreamHandler":
            handler.setLevel("WARNING")


# Jobs run the mlet-bench of the Python that runs Snakemake, activated or not, with the plugins of the configuration: here
# and not as a parameter, so that one that is added makes no job stale that does not use it.
PLUGINS = " ".join(f"--plugin {in_prefix(name)}" for name in config["plugins"])
shell.prefix(
    f"export PATH={in_prefix(CLI)}:$PATH MLFLOW_DISABLE_TELEMETRY=true; set -euo pipefail; "
    f'mlet-bench() {{{{ command mlet-bench "$@" {PLUGINS}; }}}}; '
)


wildcard_constraints:
    dataset="|".join(config["datasets"]),
    model="|".join(config["models"]),
    cell=r"[^/]+-d\d+(-k\d+)?(-b[0-9A-Za-z_.]+)?(-e\d+)?",


def every_job():
    """That of each job."""
    return [_job_path(name) for name in JOBS]


def _job_path(name):
    dataset, model, cell = name.split("/")
    return JOB.format(dataset=dataset, model=model, cell=cell)


def made_by_every_stage():
    """What the report rests on, asked for by name.

    Snakemake deletes the files of a job that fails when it is run again, and would then pass over it because the older
    results of the later stages are still there.
    """
    raw = [name for name, dataset in config["datasets"].items() if dataset["source"] == "synthesize"]
    return [
        expand(f"{RESULTS}/raw/{{dataset}}.txt", dataset=raw),
        expand(f"{DATA}/schema.json", dataset=config["datasets"]),
        every_job(),
        timed(),
    ]


def code(command, **members):
    """The code that decides a command's result, as a parameter: a change in it, and only that, runs the stage again."""
    return code_of(f"mlet_bench.{command}", **members)


def data_code(command):
    """The same of a stage that makes a data set, which its own description decides too."""
    return lambda wildcards: code(command, more=[DATASETS.module_of(kind_of(wildcards).name)])


def kind_of(wildcards):
    """The data set that an entry of the configuration is of."""
    return dataset_of(wildcards.dataset, config["datasets"][wildcards.dataset])


def cell_code(wildcards):
    """The same of a job's cells: their own methods and model alone."""
    arms = dict.fromkeys(cell.arm for cell in cells_of(wildcards))
    return [line for arm in arms for line in code("stages.cell", arm=arm, model=wildcards.model)]


def overhead_code(wildcards):
    """The same of the timings, of the methods that are timed."""
    methods = [METHODS.module_of(ARMS[arm].method) for arm in (BASELINE, TREATED)]
    return code("stages.overhead", model=wildcards.model, more=methods)


def report_code():
    """The same of the report, which shows every claim and figure."""
    members = [*CLAIMS.modules(), *FIGURES.modules()]
    looks = [f"{arm.name} {arm.purpose} {arm.look}" for arm in ARMS.values()]
    return code("report.command", more=members, metrics=True) + looks


def cell_of(wildcards):
    """The cell of a folder."""
    return CELLS[f"{wildcards.dataset}/{wildcards.model}/{wildcards.cell}"]


def cells_of(wildcards):
    """The cells of a job."""
    return JOBS[f"{wildcards.dataset}/{wildcards.model}/{wildcards.cell}"]


def cell_folder(cell):
    """Where a cell's runs lie."""
    return f"{RESULTS}/runs/{cell.folder}"


def lacking_of(wildcards):
    """What of its cells' files a job has to make again."""
    folders = map(cell_folder, cells_of(wildcards))
    return [file for folder in folders for file in lacking(Path(folder, "runs.json"), config["keep"])]


def beside(wildcards):
    """The cells of a job beside the first, as options of the command line."""
    found = []
    for cell in cells_of(wildcards)[1:]:
        inner_dim = "" if cell.inner_dim is None else f":{cell.inner_dim}"
        found += ["--beside", f"{cell.arm}{inner_dim}", cell_folder(cell)]
    return shlex.join(found)


def own_files(wildcards):
    """The files of one's own, or of an installed package, that a data set is made of."""
    dataset = config["datasets"][wildcards.dataset]
    if dataset["source"] == "prepared":
        return [f"{dataset['file']}/schema.json"]
    if dataset["source"] == "package":
        return [str(kind_of(wildcards).installed())]
    return list(map(str, kind_of(wildcards).files(dataset["file"]))) if "file" in dataset else []


def raw_file(wildcards):
    """The raw files, or for downloads the note that says where it lies.

    Snakemake takes braces in the name of an input for a wildcard and has no way to write one: such a file of the user's
    own is no input, and ``raw_stamp`` tells when it has changed. Nor is a prepared folder, whose files keep their times.
    """
    dataset = config["datasets"][wildcards.dataset]
    if own := own_files(wildcards):
        return [name for name in own if "{" not in name and dataset["source"] != "prepared"]
    if dataset["source"] == "synthesize":
        return f"{RESULTS}/raw/{wildcards.dataset}.txt"
    name = kind_of(wildcards).download_name(dataset["source"], dataset["split"])
    return f"data/raw/{name}.path"


def raw_stamp(wildcards):
    """Size and time of the raw files that are no input."""
    dataset = config["datasets"][wildcards.dataset]
    found = [os.stat(name) for name in own_files(wildcards) if "{" in name or dataset["source"] == "prepared"]
    return [[status.st_size, status.st_mtime_ns] for status in found] or None


def raw_option(wildcards, input):
    """The raw file, folder or glob as a word of the shell."""
    dataset = config["datasets"][wildcards.dataset]
    if "file" in dataset:
        return shlex.quote(dataset["file"])
    if own := own_files(wildcards):
        return shlex.quote(own[0])
    return shlex.quote(input.raw) if dataset["source"] == "synthesize" else f'"$(cat {shlex.quote(input.raw)})"'


def prepared_as(wildcards):
    """What a data set is prepared as: itself, or a folder that is ready."""
    dataset = config["datasets"][wildcards.dataset]
    return "prepared" if dataset["source"] == "prepared" else kind_of(wildcards).name


def preparation_options(wildcards):
    """The options of a data set's preparation."""
    dataset = config["datasets"][wildcards.dataset]
    given = {name: dataset[name] for name in ("split", "max_rows", *kind_of(wildcards).options) if name in dataset}
    plain = {name: value for name, value in given.items() if isinstance(value, bool | int)}
    words = {name: value for name, value in given.items() if name not in plain}
    if wildcards.dataset != kind_of(wildcards).name:
        words["name"] = wildcards.dataset
    # A word each: a value may begin with a dash.
    words = [f"--{name.replace('_', '-')}={_word(value)}" for name, value in words.items()]
    return f"{shlex.join(words)} {as_options(plain)}".strip()


def _word(value):
    return value if isinstance(value, str) else json.dumps(value)


def as_options(settings):
    """Settings as options of the command line, quoted for the shell; one that is false is left out."""
    words = []
    for name, value in settings.items():
        if value is not False:
            words += [f"--{name.replace('_', '-')}"]
            words += [] if value is True else map(str, value if isinstance(value, list) else [value])
    return shlex.join(words)


def training_options(wildcards):
    """The arm and widths of a job's first cell and the training block, as options of the command line."""
    cell = cells_of(wildcards)[0]
    tunes = any(ARMS[each.arm].tunes_lr for each in cells_of(wildcards))
    tuning = {"embedding_lr_factors": config["embedding_lr_factors"]} if tunes else {}
    widths = {"dim": cell.dim} | ({"inner_dim": cell.inner_dim} if cell.inner_dim is not None else {})
    widths |= {"budget": cell.budget} if cell.budget else {}
    hyper = config["models"][cell.model]
    formats = {"formats": config["formats"]} if config["formats"] != [PLAIN] else {}
    more = tuning | formats | {"deterministic": config["deterministic"]}
    return as_options({"arm": cell.arm} | widths | cell_training(config, cell) | hyper | more)


def training_mb(wildcards, input):
    """Memory of a job in MB, the largest of its cells' trainings, from the sizes of tables and data: see
    docs/scale-out.md. What is deployed is made while its model is in memory, or from a stored one in less.
    """
    open(input.schema).close()  # while the data set is not prepared the system's own error tells Snakemake to ask again
    try:
        schema = DatasetSchema.read(Path(input.schema).parent)
    except BenchError:
        return OVERHEAD // 2**20  # the job says what is wrong with it, and stops no other data set's
    most = 0
    for cell in cells_of(wildcards):
        spec = cell_spec(config, cell, seed=0, fingerprint=schema.fingerprint)
        with suppress(OverBudgetError):  # nothing of that cell is trained
            most = max(most, training_need(spec, schema).bytes)
    return (most + OVERHEAD) // 2**20 + 1


def timed():
    """The step times of each data set and model."""
    return expand(
        f"{RESULTS}/overhead/{{dataset}}/{{model}}.parquet", dataset=config["datasets"], model=config["models"]
    )


def overhead_options(wildcards):
    """The grid, the overhead block, the recipe and the model, as options of the command line."""
    recipe = {name: config["training"][name] for name in RECIPE if name in config["training"]}
    grid = {"dims": config["dims"], "inner_dims": config["inner_dims"]}
    model = {"model": wildcards.model} | config["models"][wildcards.model]
    return as_options(grid | config["overhead"] | recipe | model)
