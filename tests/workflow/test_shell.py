"""Names reach the shell as they are: whatever a file, a plugin or a checkout is called, nothing of it is run."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from toy_dag import ROOT, TOY, environment, snakemake

from mlet_bench.cli import main

HOSTILE = "a$(touch RAN)`touch RAN`;touch RAN;'it's' \"so\" $HOME & b"
SCHEMA = "results/toy/data/criteo-kaggle/schema.json"


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("raw") / "raw.txt"
    assert main(["synthesize", "criteo-kaggle", "--rows", "300", "--out", str(path)]) == 0
    return path


def of_file(name: str, **more) -> dict:
    return TOY | {"datasets": {"criteo-kaggle": {"source": "file", "file": name}}} | more


def rows_of(folder: Path) -> int:
    return sum(json.loads((folder / SCHEMA).read_text(encoding="utf-8"))["rows"].values())


@pytest.mark.parametrize("ending", [".txt", ".path", "{b}.txt"])
def test_a_raw_file_of_any_name_is_prepared_and_never_run(ending, raw, tmp_path):
    folder = tmp_path / "it's $HOME here"
    folder.mkdir()
    name = HOSTILE + ending
    shutil.copy(raw, folder / name)
    plugin = "it's `touch RAN` mine.py"
    (folder / plugin).write_text("", encoding="utf-8")
    done = snakemake(folder, "--cores", "1", SCHEMA, config=of_file(name, plugins=[plugin]))
    assert done.returncode == 0, done.stdout + done.stderr
    assert rows_of(folder) == 300
    assert not [*tmp_path.rglob("RAN*")] and not (ROOT / "RAN").exists()
    if "{" in name:  # no input of Snakemake's, but a change of it is seen
        shutil.copy(raw, folder / name)
        again = snakemake(folder, "--cores", "1", "-n", SCHEMA, config=of_file(name, plugins=[plugin]))
        assert "prepare" in again.stdout + again.stderr


def test_a_file_at_home_is_found_and_a_folder_is_called_one(raw, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(raw.parent))
    done = snakemake(tmp_path, "--cores", "1", "-n", SCHEMA, config=of_file("~/raw.txt"))
    assert done.returncode == 0, done.stdout + done.stderr
    done = snakemake(tmp_path, "--cores", "1", "-n", SCHEMA, config=of_file("~/"))
    assert done.returncode != 0 and "that is a folder; give the raw file itself" in done.stdout + done.stderr


def test_a_checkout_and_its_python_may_stand_anywhere(raw, tmp_path):
    """``shell.prefix`` has the path of the Python that runs Snakemake."""
    place = tmp_path / "it's $(touch RAN) here"
    for name in ("mlet_bench", "workflow"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Snakefile", "environment.yml"):
        shutil.copy(ROOT / name, place / name)
    venv.create(place / ".venv", symlinks=True)
    python = place / ".venv/bin/python"
    (site,) = place.glob(".venv/lib/*/site-packages")
    own = next(path for path in sys.path if path.endswith("site-packages"))
    (site / "parent.pth").write_text(own + "\n", encoding="utf-8")
    script = place / ".venv/bin/mlet-bench"
    command = f"PYTHONPATH={shlex.quote(str(place))} exec {shlex.quote(str(python))} -m mlet_bench"
    script.write_text(f'#!/bin/sh\ntouch {shlex.quote(str(place / "called"))}\n{command} "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    (place / "config.json").write_text(json.dumps(of_file(str(raw))), encoding="utf-8")
    words = [python, "-m", "snakemake", SCHEMA, "--cores", "1", "--configfile", "config.json"]
    done = subprocess.run(words, cwd=place, env=environment(), capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr
    assert rows_of(place) == 300 and (place / "called").exists() and not [*tmp_path.rglob("RAN")]
    braces = place.rename(tmp_path / "{b}")
    words[0] = sys.executable
    done = subprocess.run(words, cwd=braces, env=environment(), capture_output=True, encoding="utf-8")
    assert done.returncode != 0 and "has braces, which Snakemake takes for wildcards" in done.stdout + done.stderr


QUOTED_ELSEWHERE = {"params.options", "params.raw", "params.beside"}  # by shlex, in common.smk
NUMBERS = {"params.rows", "params.seed", "params.seeds", "threads"}


def test_every_value_in_a_shell_line_is_quoted():
    found = 0
    for path in (ROOT / "workflow/rules").glob("*.smk"):
        for shell in re.findall(r"\n    shell:\n((?: {8}.*\n)+)", path.read_text(encoding="utf-8")):
            for value in re.findall(r"\{([^}]+)\}", shell):
                found += 1
                assert value.endswith(":q") or value in QUOTED_ELSEWHERE | NUMBERS, f"{path.name}: {value}"
    assert found > 30
