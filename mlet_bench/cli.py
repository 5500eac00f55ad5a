"""``mlet-bench``: one command a stage. Parses, calls, prints; each command imports what it needs when it runs."""

import argparse
import sys
from pathlib import Path

from mlet_bench.errors import BenchError, Stopped, out_of_memory
from mlet_bench.spec import ARMS, DATASETS, RECIPES, with_recipe
from mlet_bench.stopping import stop_at_once
from mlet_bench.version import __version__

BENCHMARKS = (
    "step",
    "pack",
    "overhead",
    "epoch",
    "preparation",
    "preparation-memory",
    "evaluation",
    "kernels",
    "readme",
)
RECIPE_OPTIONS = ("recipe", "optimizer", "lr", "bottom", "top")


def main(argv: list[str] | None = None) -> int:
    """Run one command. Returns 0, 2 after an error that a sentence explains, or 128 + n after signal n."""
    arguments = build_parser().parse_args(argv)
    try:
        with stop_at_once():
            arguments.run(arguments)
    except Stopped as stop:
        print(f"mlet-bench {arguments.command}: {stop.sentence}", file=sys.stderr)
        return stop.code
    except (BenchError, OSError, MemoryError, RuntimeError) as error:
        sentence = _sentence(error)
        if sentence is None:
            raise
        print(f"mlet-bench {arguments.command}: error: {sentence}", file=sys.stderr)
        return 2
    return 0


def _sentence(error: Exception) -> str | None:
    """The error in words; None for one that nobody foresaw, whose traceback is wanted."""
    if isinstance(error, BenchError):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.strerror or error}: {error.filename}; check the path and its permissions"
    short = out_of_memory(error)
    return None if short is None else str(short)


def build_parser() -> argparse.ArgumentParser:
    """The parser of every command; each command's help ends in an example."""
    parser = argparse.ArgumentParser(
        prog="mlet-bench",
        description="Reproduce Multi-Layer Embedding Training (arXiv 2006.05623), one stage at a time.",
        epilog="The whole reproduction is the DAG: snakemake --cores N.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    download = _command(
        commands, "download", _download, "fetch a raw data set, resuming and checking it",
        "mlet-bench download criteo-kaggle-sample --out data/raw",
    )  # fmt: skip
    download.add_argument("source", help="criteo-kaggle, criteo-kaggle-sample, avazu or avazu-mirror")
    download.add_argument("--out", type=Path, required=True, help="folder; a file already there is used in place")

    synthesize = _command(
        commands, "synthesize", _synthesize, "make a raw file of planted rows with a known best AUC",
        "mlet-bench synthesize criteo-kaggle --rows 100000 --seed 0 --out planted.txt",
    )  # fmt: skip
    synthesize.add_argument("dataset", choices=DATASETS)
    synthesize.add_argument("--rows", type=int, required=True)
    synthesize.add_argument("--seed", type=int, default=0)
    synthesize.add_argument("--out", type=Path, required=True, help="raw file to write; .gz is compressed")

    prepare = _command(
        commands, "prepare", _prepare, "turn a raw file into a Parquet data set",
        "mlet-bench prepare criteo-kaggle --raw train.txt --out data/criteo-kaggle",
    )  # fmt: skip
    prepare.add_argument("dataset", choices=DATASETS)
    prepare.add_argument("--raw", type=Path, required=True, help="plain, .gz, .tar.gz or .zip")
    prepare.add_argument("--out", type=Path, required=True, help="data-set folder to write")
    prepare.add_argument("--split", help="criteo-kaggle: blocks; avazu: random (default) or last-day")
    prepare.add_argument(
        "--authors-hour",
        action="store_true",
        help="avazu: parse the hour as the authors' code does, as a unix time stamp, which makes it the constant ln 6",
    )
    prepare.add_argument("--max-rows", type=int, help="use the first rows only")

    train = _command(
        commands, "train", _train, "train one run a seed, or continue it from its checkpoint",
        "mlet-bench train --data DATA --model dlrm --arm mlet --dim 16 --inner-dim 64 --seed 0 --out RUN",
    )  # fmt: skip
    train.add_argument("--data", type=Path, required=True, help="prepared data set")
    train.add_argument("--model", default="dlrm")
    train.add_argument("--arm", required=True, help="; ".join(f"{arm.name}: {arm.purpose}" for arm in ARMS.values()))
    train.add_argument("--dim", type=int, required=True, help="d, width of the embeddings")
    train.add_argument("--inner-dim", type=int, help="k, inner width; every arm but 'single' needs it")
    train.add_argument("--seed", type=int, nargs="+", default=[0], help="with several, --out holds '{seed}'")
    train.add_argument("--out", required=True, help="run folder to write")
    _training_options(train)
    train.add_argument("--batch-size", type=int, help="128 in both recipes")
    train.add_argument("--epochs", type=int, default=1)
    train.add_argument("--validations", type=int, default=10, help="how often validation is scored while training")
    train.add_argument(
        "--embedding-lr-factors",
        type=float,
        nargs="+",
        default=[1, 2, 4, 8, 16],
        help="what single-lr-tuned and mlet-lr-tuned choose among: embedding learning rate over the base one",
    )
    train.add_argument(
        "--authors-selection",
        action="store_true",
        help="also report the AUC at the best test accuracy while training, as the authors do: selected on test",
    )
    train.add_argument("--pack", type=int, help="seeds trained together; as many as fit on a GPU, one on a CPU")
    train.add_argument(
        "--eager", action="store_true", help="on a GPU, launch each operation by itself, no CUDA graphs: slow, to debug"
    )
    train.add_argument("--checkpoint-seconds", type=float, default=600, help="least time between two checkpoints")
    _device_options(train)

    collapse = _command(
        commands, "collapse", _collapse, "multiply W1 and W2 into n×d tables and check that nothing changed",
        "mlet-bench collapse RUN",
    )  # fmt: skip
    collapse.add_argument("--spectrum", action="store_true", help="also do what 'mlet-bench spectrum' does")
    _run_options(collapse)

    evaluate = _command(
        commands, "evaluate", _evaluate, "score a collapsed run on validation and, once, on test",
        "mlet-bench evaluate RUN",
    )  # fmt: skip
    _run_options(evaluate)
    _device_options(evaluate)

    spectrum = _command(
        commands, "spectrum", _spectrum, "effective and stable rank of each table of a collapsed run",
        "mlet-bench spectrum RUN",
    )  # fmt: skip
    _run_options(spectrum)

    verify = _command(
        commands, "verify", _verify, "recompute a run's metrics from its collapsed model and say whether they hold",
        "mlet-bench verify RUN",
    )  # fmt: skip
    _run_options(verify)
    _device_options(verify)

    compare = _command(
        commands, "compare", _compare, "DeLong intervals of an AUC difference: what other test rows would change",
        "mlet-bench compare MLET/seed0 MLET/seed1 --baseline SINGLE/seed0 SINGLE/seed1",
    )  # fmt: skip
    compare.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="evaluated run folder")
    compare.add_argument("--baseline", type=Path, nargs="+", required=True, metavar="RUN", help="a run of each seed")

    overhead = _command(
        commands, "overhead", _overhead, "time MLET's training steps against the baseline's, paired",
        "mlet-bench overhead --data DATA --dims 4 16 --inner-dims 16 64 --out overhead.parquet",
    )  # fmt: skip
    overhead.add_argument("--data", type=Path, required=True, help="prepared data set")
    overhead.add_argument("--model", default="dlrm")
    overhead.add_argument("--dims", type=int, nargs="+", required=True, help="d")
    overhead.add_argument("--inner-dims", type=int, nargs="+", required=True, help="k; every pair with k >= d is timed")
    overhead.add_argument("--batch-sizes", type=int, nargs="+", default=[128])
    overhead.add_argument("--pairs", type=int, default=50, help="timings of each arm")
    overhead.add_argument("--steps", type=int, default=20, help="training steps per timing")
    overhead.add_argument("--out", type=Path, required=True, help="Parquet file to write")
    _training_options(overhead)
    _device_options(overhead)

    bench = _command(
        commands, "bench", _bench, "time our code against a peer or a limit and print the table with its ratio",
        "mlet-bench bench step --dlrm ../dlrm --device cpu --out results/benchmarks/step-cpu.csv",
    )  # fmt: skip
    bench.add_argument("benchmark", choices=BENCHMARKS, help="readme puts the stored tables into README.md")
    bench.add_argument("--dlrm", type=Path, help="step, preparation: a checkout of facebookresearch/dlrm")
    bench.add_argument(
        "--dlrm-python", type=Path, default=Path(sys.executable), help="a python with 'numpy<2', torch, tensorboard"
    )
    bench.add_argument("--batch-sizes", type=int, nargs="+", default=[128], help="overhead")
    bench.add_argument("--whole-grid", action="store_true", help="overhead: d 4..64, k 16..128, not d=16, k=64 alone")
    bench.add_argument("--rows", type=int, nargs="+", help="preparation, preparation-memory: rows of each file")
    bench.add_argument("--out", type=Path, help="CSV file to write; of readme the folder with them")
    _device_options(bench)

    report = _command(
        commands, "report", _report, "write tables, figures, summary.md, claims.md and report.html",
        "mlet-bench report results/smoke",
    )  # fmt: skip
    report.add_argument("results", type=Path, help="results/<profile>")

    sync = _command(
        commands, "sync", _sync, "bring finished runs into MLflow; safe to repeat and while jobs run",
        "mlet-bench sync results/smoke",
    )  # fmt: skip
    sync.add_argument("results", type=Path, help="results/<profile>")

    restore = _command(
        commands, "restore", _restore, "make the folder that a report reads from an MLflow store alone",
        "mlet-bench restore paper --out results/paper-of-the-team",
    )  # fmt: skip
    restore.add_argument("profile", help="the profile that was synced")
    restore.add_argument("--out", type=Path, required=True, help="folder to make; report it with 'mlet-bench report'")
    return parser


def _command(commands, name: str, run, purpose: str, example: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=purpose,
        description=purpose[0].upper() + purpose[1:] + ".",
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def _run_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run folder")
    parser.add_argument("--data", type=Path, help="data set, where it is no longer where the run was trained on it")


def _training_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--recipe", default="authors", help="; ".join(f"{name}: {r}" for name, r in RECIPES.items()))
    parser.add_argument("--optimizer", help="sgd or adagrad; this and the next three override the recipe")
    parser.add_argument("--lr", type=float)
    parser.add_argument("--bottom", type=int, nargs="*", help="hidden widths of the bottom MLP")
    parser.add_argument("--top", type=int, nargs="*", help="hidden widths of the top MLP")


def _device_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="auto", help="auto (cuda where there is a GPU), cpu or cuda")
    parser.add_argument("--threads", type=int, help="CPU threads")


def _download(arguments) -> None:
    from mlet_bench.data.download import download

    print(download(arguments.source, arguments.out))


def _synthesize(arguments) -> None:
    from mlet_bench.data.synthetic import synthesize

    planted = synthesize(arguments.dataset, arguments.rows, arguments.seed, arguments.out)
    print(f"{arguments.out}: {planted['rows']:,} rows, best possible AUC {planted['best_auc']:.4f}")


def _prepare(arguments) -> None:
    from mlet_bench.data.encode import prepare

    schema = prepare(
        arguments.dataset,
        arguments.raw,
        arguments.out,
        split=arguments.split,
        max_rows=arguments.max_rows,
        authors_hour=arguments.authors_hour,
    )
    rows = ", ".join(f"{split} {count:,}" for split, count in schema.rows.items())
    print(f"{arguments.out}: {rows} rows; {sum(schema.table_sizes):,} categories; fingerprint {schema.fingerprint}")


def _train(arguments) -> None:
    from mlet_bench.device import resolve_device
    from mlet_bench.stages import train_runs

    names = ("model", "arm", "dim", "inner_dim", "batch_size", "epochs", "validations", "authors_selection")
    settings = with_recipe({name: getattr(arguments, name) for name in (*names, *RECIPE_OPTIONS)})
    settings.setdefault("inner_dim", None)
    device = resolve_device(arguments.device, arguments.threads)
    places = (arguments.data, arguments.out, arguments.seed)
    tuning, checkpoints = arguments.embedding_lr_factors, arguments.checkpoint_seconds
    for folder, last in train_runs(*places, device, settings, tuning, arguments.pack, checkpoints, arguments.eager):
        print(f"{folder}: trained", *(f"{name} {last[name]:.5f}" for name in ("val_auc", "val_logloss") if last))


def _collapse(arguments) -> None:
    from mlet_bench.stages import collapse_runs

    for folder, description in collapse_runs(arguments.runs, arguments.data, arguments.spectrum):
        worst = max(description["max_logit_difference"].values())
        size = description["bytes"]["inference_tables"] / 1e6
        print(f"{folder}: tables of {size:.2f} MB, largest difference in logit {worst:.1e}")


def _evaluate(arguments) -> None:
    from mlet_bench.device import resolve_device
    from mlet_bench.stages import evaluate_runs

    device = resolve_device(arguments.device, arguments.threads)
    for folder, metrics in evaluate_runs(arguments.runs, arguments.data, device):
        print(f"{folder}: test", *(f"{name} {value:.5f}" for name, value in metrics["test"].items()))


def _spectrum(arguments) -> None:
    from mlet_bench.analysis.rank import mean_effective_rank
    from mlet_bench.stages import spectrum_runs

    for folder, table in spectrum_runs(arguments.runs, arguments.data):
        start, trained = (mean_effective_rank(table, stage) for stage in ("initial", "trained"))
        print(f"{folder}: mean effective rank {start:.2f} at the start, {trained:.2f} trained")


def _verify(arguments) -> None:
    from mlet_bench.device import resolve_device
    from mlet_bench.stages import verify_runs

    device, wrong = resolve_device(arguments.device, arguments.threads), []
    for folder, checks in verify_runs(arguments.runs, arguments.data, device):
        for check in checks:
            print(f"{folder}: {check}")
        wrong += [f"{folder}: {check.name}" for check in checks if not check.holds]
    if wrong:
        raise BenchError(f"{len(wrong)} checks failed: {', '.join(wrong)}")


def _compare(arguments) -> None:
    from mlet_bench.analysis.sampling import compare_cell
    from mlet_bench.failures import failure_recorded

    with failure_recorded(arguments.runs, "compare"):
        cell = compare_cell(arguments.runs, arguments.baseline)
    for folder, found in cell.items():
        print(f"{folder}: test auc {found['difference']:+.5f} [{found['low']:+.5f}, {found['high']:+.5f}] over rows")


def _overhead(arguments) -> None:
    from mlet_bench.analysis.overhead import median_overheads
    from mlet_bench.device import resolve_device
    from mlet_bench.stages import overhead

    widths = [(dim, inner) for dim in arguments.dims for inner in arguments.inner_dims if inner >= dim]
    if not widths:
        raise BenchError(f"no pair with k >= d in dims {arguments.dims} and inner dims {arguments.inner_dims}")
    recipe = with_recipe({name: getattr(arguments, name) for name in RECIPE_OPTIONS})
    table = overhead(
        arguments.data,
        arguments.out,
        resolve_device(arguments.device, arguments.threads),
        model=arguments.model,
        widths=widths,
        batch_sizes=arguments.batch_sizes,
        pairs=arguments.pairs,
        steps=arguments.steps,
        training={name: value for name, value in recipe.items() if name != "batch_size"},
    )
    for (dim, inner_dim, batch), extra in median_overheads(table).items():
        print(f"d={dim} k={inner_dim} batch={batch}: median overhead {extra:+.1%}")


def _bench(arguments) -> None:
    from mlet_bench.bench import readme
    from mlet_bench.bench.catalogue import measure
    from mlet_bench.bench.dlrm_script import DlrmScript
    from mlet_bench.bench.measure import as_markdown, frame, write_measures
    from mlet_bench.device import resolve_device

    if arguments.benchmark == "readme":
        readme.update_readme(Path("README.md"), arguments.out or Path("results/benchmarks"))
        return
    device = resolve_device(arguments.device, arguments.threads)
    script = DlrmScript(arguments.dlrm, arguments.dlrm_python) if arguments.dlrm else None
    measures = measure(arguments.benchmark, device, script, arguments.whole_grid, arguments.batch_sizes, arguments.rows)
    print(as_markdown(frame(measures)))
    if arguments.out:
        write_measures(measures, arguments.out)


def _report(arguments) -> None:
    from mlet_bench.reporting.page import write_report

    write_report(arguments.results)
    print(*(f"{arguments.results}/{name}" for name in ("report.html", "summary.md", "claims.md")), sep="\n")


def _sync(arguments) -> None:
    from mlet_bench.tracking import sync

    done = sync(arguments.results)
    failed = f", {done.failed} failed" if done.failed else ""
    print(f"{done.created} runs created, {done.updated} updated, {done.unchanged} unchanged{failed}")


def _restore(arguments) -> None:
    from mlet_bench.tracking import restore

    print(f"{arguments.out}: {restore(arguments.profile, arguments.out)} runs restored")
