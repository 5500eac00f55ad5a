# One training job a cell: all seeds of one data set, model, arm, d and k.
rule train:
    input:
        schema=f"{DATA}/schema.json",
        data=[f"{DATA}/{split}.parquet" for split in TRAINING_SPLITS],
    output:
        spec=seeds("spec.json"),
        data=seeds("data.json"),
        curve=seeds("curve.parquet"),
        provenance=seeds("provenance.json"),
        model=unless_kept("all", seeds("model.safetensors")),
    log:
        f"{LOG}/train.log",
    conda:
        "../../environment.yml"
    threads: config["threads"]
    resources:
        gpu=GPUS,
        mem_mb=training_mb,
    params:
        code=code("train"),
        data=subpath(input.schema, parent=True),
        out=lambda wildcards: f"{CELL}/seed{{seed}}".format(**wildcards, seed="{seed}"),
        seeds=config["seeds"],
        options=training_options,
        device=DEVICE,
    shell:
        "mlet-bench train --data {params.data} --model {wildcards.model} {params.options} --seed {params.seeds}"
        " --out '{params.out}' --device {params.device} --threads {threads} > {log} 2>&1"
