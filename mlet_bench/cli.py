"""``mlet-bench``: one command a stage. Parses, calls, prints; a command's module is imported when it is called."""

import argparse
import sys
from difflib import get_close_matches
from importlib import import_module

from mlet_bench.errors import BenchError, Stopped, out_of_memory
from mlet_bench.plugins import load_plugins
from mlet_bench.signals import stop_at_once
from mlet_bench.version import __version__

# Command → its module, what it does, an example.
COMMANDS: dict[str, tuple[str, str, str]] = {
    "download": (
        "stages.download", "fetch a raw data set, resuming and checking it",
        "mlet-bench download criteo-kaggle-sample --out data/raw",
    ),
    "synthesize": (
        "stages.synthesize", "make a raw file of planted rows with a known best AUC",
        "mlet-bench synthesize criteo-kaggle --rows 100000 --seed 0 --out planted.txt",
    ),
    "prepare": (
        "stages.prepare", "turn a raw file into a Parquet data set",
        "mlet-bench prepare criteo-kaggle --raw train.txt --out data/criteo-kaggle",
    ),
    "train": (
        "stages.train", "train one run for each seed, or continue it from its checkpoint",
        "mlet-bench train --data DATA --model dlrm --arm mlet --dim 16 --inner-dim 64 --seed 0 --out RUN",
    ),
    "deploy": (
        "stages.deploy", "make the model that is served, W1 W2 as n×d tables, and check that nothing changed",
        "mlet-bench deploy RUN",
    ),
    "evaluate": (
        "stages.evaluate", "score a deployed run on validation and, once, on test",
        "mlet-bench evaluate RUN",
    ),
    "formats": (
        "stages.formats", "write an evaluated run in further formats, int8 say, and score each as it is served",
        "mlet-bench formats RUN --formats int8 int4",
    ),
    "spectrum": (
        "stages.spectrum", "effective and stable rank of each table of a deployed run",
        "mlet-bench spectrum RUN",
    ),
    "verify": (
        "stages.verify", "recompute a run's metrics from its deployed model and say whether they hold",
        "mlet-bench verify RUN",
    ),
    "cell": (
        "stages.cell", "train, deploy and score all seeds of a cell, each stage only where it is due",
        "mlet-bench cell --data DATA --arm mlet --dim 16 --inner-dim 64 --seed 0 1 --out 'CELL/seed{seed}'"
        " --index CELL/runs.json",
    ),
    "overhead": (
        "stages.overhead", "time MLET's training steps against the baseline's, paired",
        "mlet-bench overhead --data DATA --dims 4 16 --inner-dims 16 64 --out overhead.parquet",
    ),
    "report": (
        "report.command", "write tables, figures, summary.md, claims.md and report.html",
        "mlet-bench report results/smoke",
    ),
    "plan": (
        "stages.plan", "what a config costs before it is run: trainings, disk, memory, hours from timed steps, money",
        "mlet-bench plan workflow/config/paper.yaml --jobs 8 --price 2.50",
    ),
    "status": (
        "stages.status", "how far a run is: each finished cell's AUC, and about how long the rest will take",
        "mlet-bench status results/paper",
    ),
    "sync": (
        "tracking.sync_command", "bring finished runs into MLflow; safe to repeat and while jobs run",
        "mlet-bench sync results/smoke",
    ),
    "restore": (
        "tracking.restore_command", "make the folder that a report reads from an MLflow store alone",
        "mlet-bench restore paper --out results/paper-of-the-team",
    ),
}  # fmt: skip

# What the package can do without, by the extra that brings it: a stage imports it when it runs.
EXTRAS = {
    "workflow": (
        "filelock", "huggingface_hub", "jinja2", "jsonschema", "kagglehub", "matplotlib", "mlflow", "polars", "scipy",
        "snakemake", "yaml",
    ),
    "postgres": ("psycopg2",),
}  # fmt: skip
EPILOG = """The whole reproduction is the DAG: snakemake --cores N.

environment:
  OMP_WAIT_POLICY         passive where it is not set: threads sleep while they wait, so that one other process on the
                          machine costs little. OMP_WAIT_POLICY=active or a GOMP_SPINCOUNT of yours overrules it.
  MLET_BENCH_KERNELS      off: plain torch on the CPU in the place of compiled kernels; triton: Triton's kernels on a
                          GPU, which none has run yet
"""


def main(argv: list[str] | None = None) -> int:
    """Run one command. Returns 0, 2 after an error that a sentence explains, or 128 + n after signal n."""
    words = sys.argv[1:] if argv is None else list(argv)
    command = words[0] if words and words[0] in COMMANDS else ""
    name = f"mlet-bench {command}".strip()
    try:
        _check_command(words)
        with stop_at_once():
            load_plugins(_plugins(words))
            arguments = build_parser(command).parse_args(words)
            arguments.run(arguments)
    except Stopped as stop:
        print(f"{name}: {stop.sentence}", file=sys.stderr)
        return int(stop.code or 0)
    except (BenchError, ModuleNotFoundError, OSError, MemoryError, RuntimeError) as error:
        sentence = _sentence(error)
        if sentence is None:
            raise
        print(f"{name}: error: {sentence}", file=sys.stderr)
        return 2
    return 0


def _check_command(words: list[str]) -> None:
    """Refuse a first word that is no command, with the one that was meant."""
    if not words or words[0].startswith("-") or words[0] in COMMANDS:
        return
    meant = get_close_matches(words[0], COMMANDS, n=1)
    advice = f"did you mean {meant[0]!r}?" if meant else f"the commands are {', '.join(COMMANDS)}"
    raise BenchError(f"there is no command {words[0]!r}: {advice}")


def _sentence(error: Exception) -> str | None:
    """The error in words; None for one that nobody foresaw, whose traceback is wanted."""
    if isinstance(error, BenchError):
        return str(error)
    if isinstance(error, ModuleNotFoundError):
        return _missing(error)
    if isinstance(error, OSError):
        return f"{error.strerror or error}: {error.filename}; check the path and its permissions"
    short = out_of_memory(error)
    return None if short is None else str(short)


def _missing(error: ModuleNotFoundError) -> str | None:
    package = (error.name or "").partition(".")[0]
    for extra, packages in EXTRAS.items():
        if package in packages:
            return f"this needs {package}, which is not installed: pip install 'mlet-bench[{extra}]'"
    return None


def _plugins(words: list[str]) -> list[str]:
    """The plugins named, which are imported before a command's options are made: they may add some."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    _plugin_option(parser)
    return parser.parse_known_args(words)[0].plugin


def _plugin_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--plugin", action="append", default=[], metavar="MODULE",
        help="module or .py file with methods, models, data sets or metrics of your own; may be given several times",
    )  # fmt: skip


def build_parser(command: str) -> argparse.ArgumentParser:
    """The parser: all commands by name, and the options of ``command``; its help ends in an example."""
    parser = argparse.ArgumentParser(
        prog="mlet-bench",
        description="Reproduce Multi-Layer Embedding Training (arXiv 2006.05623), one stage at a time.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (module, purpose, example) in COMMANDS.items():
        own = commands.add_parser(
            name,
            help=purpose,
            description=purpose[0].upper() + purpose[1:] + ".",
            epilog=f"example:\n  {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name == command:
            stage = import_module(f"mlet_bench.{module}")
            stage.add_options(own)
            own.set_defaults(run=stage.run)
            _plugin_option(own)
    return parser
