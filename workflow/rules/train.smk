# One training job a cell: all seeds of one data set, model, arm, d and k.
def training_options(wildcards):
    cell = CELLS[f"{wildcards.dataset}/{wildcards.model}/{wildcards.cell}"]
    inner_dim = f"--inner-dim {cell.inner_dim} " if cell.inner_dim is not None else ""
    options = " ".join(
        f"--{key.replace('_', '-')} {value}"
        for key, value in config["training"].items()
    )
    return f"--arm {cell.arm} --dim {cell.dim} {inner_dim}{options}"


rule train:
    input:
        data=[DATA + "/schema.json", DATA + "/train.parquet", DATA + "/val.parquet"],
        code=code(
            "spec.py",
            "data/dataset.py",
            "embeddings/*.py",
            "models/*.py",
            "training/*.py",
        ),
    output:
        spec=seeds("spec.json"),
        data=seeds("data.json"),
        curve=seeds("curve.parquet"),
        provenance=seeds("provenance.json"),
        model=unless_kept("all", seeds("model.safetensors")),
    log:
        LOG + "/train.log",
    conda:
        "../../environment.yml"
    threads: config["threads"]
    resources:
        gpu=GPUS,
    params:
        data=DATA,
        out=CELL + "/seed{{seed}}",
        seeds=config["seeds"],
        options=training_options,
        device=DEVICE,
    shell:
        "mlet-bench train --data {params.data} --model {wildcards.model} {params.options} --seed {params.seeds}"
        " --out '{params.out}' --device {params.device} --threads {threads} > {log} 2>&1"
