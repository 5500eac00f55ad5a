# One job a cell: all seeds of one data set, model, arm, d and k, from training to scores; on a GPU one for all arms of a
# method at one d. Each run's files belong to the command, which keeps what is up to date; Snakemake sees the index of them
# alone, or that the job is done, so that it deletes none.
rule cell:
    input:
        schema=f"{DATA}/schema.json",
        data=[f"{DATA}/{split}.parquet" for split in SPLITS],
        vocabulary=f"{DATA}/vocabulary",
    output:
        JOB,
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
        lacking=lacking_of,
        data=subpath(input.schema, parent=True),
        out=lambda wildcards: f"{cell_folder(cells_of(wildcards)[0])}/seed{{seed}}",
        index=lambda wildcards: f"{cell_folder(cells_of(wildcards)[0])}/runs.json",
        beside=beside,
        seeds=config["seeds"],
        options=training_options,
        keep=config["keep"],
        device=DEVICE,
    shell:
        "mlet-bench cell --data {params.data:q} --model {wildcards.model:q} {params.options} --seed {params.seeds}"
        " --out {params.out:q} --index {params.index:q} {params.beside} --keep {params.keep:q} --device {params.device:q}"
        " --threads {threads} > {log:q} 2>&1 && touch {output:q}"
