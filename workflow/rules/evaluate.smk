# From trained runs to numbers: collapse to n×d, score, and take the ranks.
def run_folders(wildcards):
    return expand(f"{CELL}/seed{{seed}}", seed=config["seeds"], **wildcards)


rule collapse:
    input:
        runs=[seeds("spec.json"), seeds("data.json"), seeds("model.safetensors")],
        data=[DATA + "/schema.json", DATA + "/val.parquet"],
        code=code("evaluation/collapse.py"),
    output:
        description=seeds("collapsed.json"),
        model=unless_kept("collapsed", seeds("collapsed.safetensors")),
    log:
        LOG + "/collapse.log",
    conda:
        "../../environment.yml"
    threads: config["threads"]
    params:
        runs=run_folders,
    shell:
        "mlet-bench collapse {params.runs} > {log} 2>&1"


rule evaluate:
    input:
        runs=[seeds("collapsed.json"), seeds("collapsed.safetensors")],
        data=[DATA + "/schema.json", DATA + "/val.parquet", DATA + "/test.parquet"],
        code=code(
            "evaluation/evaluate.py", "evaluation/score.py", "evaluation/metrics.py"
        ),
    output:
        seeds("metrics.json"),
    log:
        LOG + "/evaluate.log",
    conda:
        "../../environment.yml"
    threads: config["threads"]
    resources:
        gpu=GPUS,
    params:
        runs=run_folders,
        device=DEVICE,
    shell:
        "mlet-bench evaluate {params.runs} --device {params.device} --threads {threads} > {log} 2>&1"


rule spectrum:
    input:
        runs=[
            seeds("spec.json"),
            seeds("collapsed.json"),
            seeds("collapsed.safetensors"),
        ],
        data=[DATA + "/schema.json", DATA + "/vocabulary"],
        code=code("analysis/rank.py"),
    output:
        seeds("spectrum.parquet"),
    log:
        LOG + "/spectrum.log",
    conda:
        "../../environment.yml"
    threads: config["threads"]
    params:
        runs=run_folders,
    shell:
        "mlet-bench spectrum {params.runs} > {log} 2>&1"
