# mlet-bench: the reproduction as a DAG. This file is the table of contents; each stage lives in workflow/rules.
from pathlib import Path

from snakemake.utils import min_version

min_version("9.0")


# Snakemake merges --configfile into a default one, key by key; here a config given is the whole config.
if not workflow.overwrite_configfiles:

    configfile: Path(workflow.basedir, "workflow/config/paper.yaml")


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/overhead.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        f"{RESULTS}/report.html",
        f"{RESULTS}/mlflow.synced.txt",
        made_by_every_stage(),


# A forecast may say no; and the quiet profile: a line a finished cell in the place of Snakemake's own.
onstart:
    stop_if_too_long()
    if FOLLOWER is not None:
        FOLLOWER.start()


onsuccess:
    if FOLLOWER is not None:
        FOLLOWER.stop(
            f"Report: {RESULTS}/report.html   Summary: {RESULTS}/summary.md   Claims: {RESULTS}/claims.md"
        )


# What was done, and why the rest was not: report and MLflow of a run with failed cells, whose rules never have their
# inputs.
onerror:
    if FOLLOWER is not None:
        FOLLOWER.stop(f"Not all of it was done: the reasons are above, and in {RESULTS}/report.html")
    if Path(RESULTS, "config.json").exists():
        shell("mlet-bench report {RESULTS:q} || true; mlet-bench sync {RESULTS:q} || true")
