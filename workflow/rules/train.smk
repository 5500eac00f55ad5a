# One job a cell: all seeds of one data set, model, arm, d and k, from training to scores. Each run's files belong to the
# command, which keeps what is up to date; Snakemake sees the index of them alone, so that it deletes none.
rule cell:
    input:
        schema=f"{DATA}/schema.json",
        data=[f"{DATA}/{split}.parquet" for split in SPLITS],
        vocabulary=f"{DATA}/vocabulary",
    output:
        f"{CELL}/runs.json",
    log:
        f"{LOG}/cell.log",
    conda:
        "../../environment.yml"
    threads: config["threads"]
    resources:
        gpu=GPUS,
        mem_mb=training_mb,
    params:
        code=lambda wildcards: cell_code(wildcards),
        lacking=lambda wildcards: lacking(Path(CELL.format(**wildcards), "runs.json"), config["keep"]),
        data=subpath(input.schema, parent=True),
        out=lambda wildcards: f"{CELL}/seed{{seed}}".format(**wildcards, seed="{seed}"),
        seeds=config["seeds"],
        options=training_options,
        keep=config["keep"],
        device=DEVICE,
    shell:
        "mlet-bench cell --data {params.data:q} --model {wildcards.model:q} {params.options} --seed {params.seeds}"
        " --out {params.out:q} --index {output:q} --keep {params.keep:q} --device {params.device:q} --threads {threads}"
        " > {log:q} 2>&1"


# Each cell against the baseline of the same d, row for row of the test split.
rule compare:
    input:
        runs=f"{CELL}/runs.json",
        baseline=baseline_index,
    output:
        seeds("sampling.json"),
    log:
        f"{LOG}/compare.log",
    conda:
        "../../environment.yml"
    params:
        code=code("stages.compare"),
        runs=run_folders,
        baseline=baseline_folders,
    shell:
        "mlet-bench compare {params.runs:q} --baseline {params.baseline:q} > {log:q} 2>&1"
