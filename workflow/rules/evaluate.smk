# From trained runs to numbers: collapse to n×d, take the ranks of the tables and of their factors, and score.
rule collapse:
    input:
        runs=[seeds("spec.json"), seeds("data.json"), seeds("model.safetensors")],
        data=[f"{DATA}/schema.json", f"{DATA}/val.parquet", f"{DATA}/vocabulary"],
    output:
        description=seeds("collapsed.json"),
        model=unless_kept("collapsed", seeds("collapsed.safetensors")),
        # Here, in one process, because no later stage needs the factors: W1 has 17 GB a run at k=128.
        spectrum=seeds("spectrum.parquet"),
        factors=seeds("factors.parquet"),
    log:
        f"{LOG}/collapse.log",
    conda:
        "../../environment.yml"
    threads: config["threads"]
    params:
        code=code("collapse"),
        runs=run_folders,
    shell:
        "mlet-bench collapse {params.runs} --spectrum > {log} 2>&1"


rule evaluate:
    input:
        runs=[seeds("collapsed.json"), seeds("collapsed.safetensors")],
        data=[f"{DATA}/schema.json", f"{DATA}/val.parquet", f"{DATA}/test.parquet", f"{DATA}/vocabulary"],
    output:
        metrics=seeds("metrics.json"),
        rare=seeds("rare.parquet"),
        # Kept whatever `keep` says: a cell that is added later is compared with those of its baseline.
        scores=seeds("scores.parquet"),
    log:
        f"{LOG}/evaluate.log",
    conda:
        "../../environment.yml"
    threads: config["threads"]
    resources:
        gpu=GPUS,
    params:
        code=code("evaluate"),
        runs=run_folders,
        device=DEVICE,
    shell:
        "mlet-bench evaluate {params.runs} --device {params.device} --threads {threads} > {log} 2>&1"


# Each cell against `single` of the same d, row for row of the test split.
rule compare:
    input:
        runs=seeds("scores.parquet"),
        baseline=lambda wildcards: expand("{run}/scores.parquet", run=baseline_folders(wildcards)),
    output:
        seeds("sampling.json"),
    log:
        f"{LOG}/compare.log",
    conda:
        "../../environment.yml"
    params:
        code=code("compare"),
        runs=run_folders,
        baseline=baseline_folders,
    shell:
        "mlet-bench compare {params.runs} --baseline {params.baseline} > {log} 2>&1"
