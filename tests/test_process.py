"""Where a process runs: without a home, without UTF-8, on few cores, on a busy machine, without what is optional."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch

from mlet_bench import device
from mlet_bench.cli import COMMANDS, EXTRAS
from mlet_bench.config import check_config
from mlet_bench.device import free_cores, resolve_device
from mlet_bench.files import write_json
from mlet_bench.stages.numbers import count, finite, not_negative, positive, whole

ROOT = Path(__file__).parents[1]
# A user id that no account has, as containers are given.
NO_ACCOUNT = """
import os, pwd, sys
def nobody(*given):
    raise KeyError("getpwuid(): uid not found")
pwd.getpwuid = nobody
for name in ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME", "XDG_CACHE_HOME", "MPLCONFIGDIR"):
    os.environ.pop(name, None)
"""
HIDE = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in HIDDEN:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
"""
RUN = """
import sys
from mlet_bench.__main__ import run
for words in CALLS:
    sys.argv = ["mlet-bench", *words]
    print("status", run(), flush=True)
"""
EACH_HELP = """
import sys
from mlet_bench.__main__ import run
for words in CALLS:
    sys.argv = ["mlet-bench", *words]
    try:
        run()
    except SystemExit as end:
        print("status", end.code)
"""


def python(code: str, *, cwd=ROOT, **environment) -> subprocess.CompletedProcess:
    given = os.environ | {"PYTHONPATH": str(ROOT)} | environment
    return subprocess.run([sys.executable, "-c", code], cwd=cwd, env=given, capture_output=True, encoding="utf-8")


def calls(*commands) -> str:
    return RUN.replace("CALLS", ascii([[str(word) for word in words] for words in commands]))


def hidden(*packages: str) -> str:
    return HIDE.replace("HIDDEN", repr(set(packages)))


def test_a_user_without_account_and_home_trains_with_the_kernels(tmp_path):
    raw, data, run = tmp_path / "raw.txt", tmp_path / "data", tmp_path / "run"
    commands = (
        ("synthesize", "criteo-kaggle", "--rows", 300, "--out", raw),
        ("prepare", "criteo-kaggle", "--raw", raw, "--out", data),
        ("train", "--data", data, "--arm", "mlet", "--dim", 4, "--inner-dim", 8, "--out", run, "--device", "cpu"),
    )
    dynamo = "import torch._dynamo, torch._inductor.runtime.cache_dir_utils as dirs\nprint(dirs.cache_dir())\n"
    done = python(NO_ACCOUNT + calls(*commands) + dynamo, TMPDIR=str(tmp_path))
    assert done.returncode == 0 and done.stdout.count("status 0") == 3, done.stdout + done.stderr
    own = tmp_path / f"mlet-bench-{os.geteuid()}"
    assert done.stderr.count(f"has no home: {own} holds its caches") == 1
    assert "kernels were not compiled" not in done.stderr or not [*own.rglob("*.so")]
    assert own.stat().st_mode & 0o777 == 0o700


def test_the_kernels_of_an_own_program_need_no_home_either(tmp_path):
    ask = "from mlet_bench.kernels.build import library; library()"
    done = python(NO_ACCOUNT + ask, TMPDIR=str(tmp_path))
    assert done.returncode == 0, done.stderr


ASCII = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def test_help_and_sentences_under_ascii(tmp_path):
    """Each command's help; a sentence with a name that the locale cannot write; a result with one."""
    helps = [["--help"], *([command, "--help"] for command in COMMANDS)]
    done = python(EACH_HELP.replace("CALLS", repr(helps)), **ASCII)
    assert done.returncode == 0 and done.stdout.count("status 0") == 1 + len(COMMANDS), done.stderr
    assert "Traceback" not in done.stderr
    named = calls(("prepare", "criteo-kaggle", "--raw", "größe→.txt", "--out", tmp_path / "out"))
    done = python(named, **ASCII)
    assert "status 2" in done.stdout and "\\xf6" in done.stderr and "Traceback" not in done.stderr, done.stderr


def test_training_and_kernels_under_ascii(tmp_path):
    raw, data = tmp_path / "raw.txt", tmp_path / "data"
    commands = (
        ("synthesize", "criteo-kaggle", "--rows", 300, "--out", raw),
        ("prepare", "criteo-kaggle", "--raw", raw, "--out", data),
        ("train", "--data", data, "--arm", "mlet", "--dim", 4, "--inner-dim", 8, "--out", tmp_path / "run"),
    )
    done = python(calls(*commands), **ASCII, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert done.stdout.count("status 0") == 3, done.stdout + done.stderr


CONFIG = {
    "profile": "x",
    "datasets": {"avazu": {"source": "synthesize", "rows": 300}},
    "arms": ["single"],
    "dims": [4],
    "inner_dims": [8],
    "seeds": [0],
}


def test_the_extras_are_those_of_pyproject():
    with open(ROOT / "pyproject.toml", "rb") as file:
        extras = tomllib.load(file)["project"]["optional-dependencies"]
    for extra, packages in EXTRAS.items():
        names = [name.partition(">")[0].removesuffix("-binary").removeprefix("py") for name in extras[extra]]
        assert [name.replace("-", "_") for name in names] == list(packages)


@pytest.mark.parametrize(
    "words",
    [
        ("synthesize", "criteo-kaggle", "--rows", "300", "--out", "RAW"),
        ("download", "criteo-kaggle-sample", "--out", "OUT"),
        ("prepare", "criteo-kaggle", "--raw", "README.md", "--out", "OUT"),
        ("report", "RESULTS"),
        ("sync", "RESULTS"),
        ("restore", "paper", "--out", "OUT"),
    ],
)
def test_a_plain_install_says_which_extra_a_command_needs(words, tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results/config.json").write_text(json.dumps(check_config(CONFIG)), encoding="utf-8")
    (tmp_path / "results/runs/avazu/dlrm/single-d4/seed0").mkdir(parents=True)
    failure = {"stage": "train", "kind": "other", "error": "none"}
    write_json(tmp_path / "results/runs/avazu/dlrm/single-d4/seed0/failed.json", failure)
    places = {"RAW": tmp_path / "raw", "OUT": tmp_path / "out", "RESULTS": tmp_path / "results"}
    command = [places.get(word, word) for word in words]
    packages = [package for packages in EXTRAS.values() for package in packages]
    done = python(hidden(*packages) + calls(command), MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert "status 2" in done.stdout, done.stdout + done.stderr
    assert "Traceback" not in done.stderr and len(done.stderr.splitlines()) == 1
    assert "is not installed: pip install 'mlet-bench[workflow]'" in done.stderr


def test_factorize_needs_torch_alone():
    others = ["numpy", "pandas", "pyarrow", "safetensors", "tqdm", *EXTRAS["workflow"]]
    others = [name for name in others if name not in ("filelock", "jinja2")]  # torch's own
    code = "import torch, mlet_bench\nmodel = torch.nn.Sequential(torch.nn.Embedding(50, 4))\n"
    code += "mlet_bench.factorize(model, inner_dim=8); model(torch.tensor([1])).sum().backward()\n"
    done = python(hidden(*others) + code + "mlet_bench.collapse(model); print(model[0].weight.shape)")
    assert done.returncode == 0 and "torch.Size([50, 4])" in done.stdout, done.stderr


def test_a_command_that_was_mistyped_is_guessed(capsys):
    from mlet_bench.cli import main

    assert main(["trian", "--data", "x"]) == 2
    assert capsys.readouterr().err == "mlet-bench: error: there is no command 'trian': did you mean 'train'?\n"
    assert main(["zzz"]) == 2 and "the commands are download, synthesize" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        *((count, text) for text in ("0", "-1", "x", "1.5", str(2**63), "0" * 5000)),
        *((whole, text) for text in ("-1", "", str(2**63))),
        *((positive, text) for text in ("0", "inf", "nan", "-1", "1e999", "x")),
        *((not_negative, text) for text in ("inf", "nan", "-1")),
        *((finite, text) for text in ("inf", "-inf", "nan")),
    ],
)
def test_numbers_that_cannot_be_are_refused(kind, given):
    import argparse

    with pytest.raises(argparse.ArgumentTypeError):
        kind(given)


@pytest.mark.parametrize(
    ("command", "option"),
    [
        ("train", ("--threads", "0")),
        ("train", ("--pack", "0")),
        ("train", ("--bottom", "0")),
        ("train", ("--lr", "inf")),
        ("train", ("--embedding-lr-factors", "1", "nan")),
        ("overhead", ("--steps", "0")),
        ("overhead", ("--pairs", "0")),
        ("synthesize", ("--rows", "0")),
        ("prepare", ("--max-rows", "0")),
        ("evaluate", ("--threads", "-1")),
    ],
)
def test_options_refuse_them_by_name(command, option, capsys):
    from mlet_bench.cli import main

    with pytest.raises(SystemExit) as ended:
        main([command, *option])
    assert ended.value.code == 2
    assert f"mlet-bench {command}: error: argument {option[0]}: " in capsys.readouterr().err


def test_threads_wait_without_spinning_unless_the_user_says_so(monkeypatch):
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    ask = (
        "import sys, os\nfrom mlet_bench import __main__\n"
        "__main__.main = lambda: print('torch' in sys.modules, os.environ.get('OMP_WAIT_POLICY'))\n__main__.run()"
    )
    assert python(ask).stdout == "False passive\n"  # before torch is imported
    assert python(ask, OMP_WAIT_POLICY="active").stdout == "False active\n"
    assert python(ask, GOMP_SPINCOUNT="100").stdout == "False None\n"


def test_no_more_threads_than_cores_are_free(monkeypatch, capsys):
    monkeypatch.setattr(device, "free_cores", lambda: 1)
    resolve_device("cpu", 64)
    assert torch.get_num_threads() == 1
    assert "64 threads were asked for, 1 are used" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("limits", "cores"),
    [
        ({"": "max 100000"}, 8),
        ({}, 8),
        ({"": "200000 100000"}, 2),
        ({"": "250000 100000"}, 2),
        ({"": "50000 100000"}, 1),
        ({"pod": "300000 100000", "pod/box": "max 100000"}, 3),
        ({"pod/box": "garbage"}, 8),
    ],
)
def test_free_cores_are_those_of_affinity_and_cgroup(limits, cores, monkeypatch, tmp_path):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    for group, limit in limits.items():
        (tmp_path / group).mkdir(parents=True, exist_ok=True)
        (tmp_path / group / "cpu.max").write_text(limit + "\n", encoding="utf-8")
    own = tmp_path / "self"
    own.write_text("0::/pod/box\n", encoding="utf-8")
    monkeypatch.setattr(device, "CGROUP", tmp_path)
    monkeypatch.setattr(device, "OWN_CGROUP", own)
    assert free_cores() == cores
