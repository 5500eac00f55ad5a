# Time MLET's steps against the baseline's. Waits for every other job and takes the whole machine.
def overhead_options(wildcards):
    options = {name: config[name] for name in ("dims", "inner_dims")} | config[
        "overhead"
    ]
    options |= {name: config["training"][name] for name in ("optimizer", "lr")}
    as_words = {
        name: value if isinstance(value, list) else [value]
        for name, value in options.items()
    }
    return " ".join(
        f"--{name.replace('_', '-')} {' '.join(map(str, words))}"
        for name, words in as_words.items()
    )


rule overhead:
    input:
        quiet=[every("metrics.json"), every("spectrum.parquet")],
        data=[DATA + "/schema.json", DATA + "/train.parquet"],
        code=code(
            "analysis/overhead.py",
            "training/step.py",
            "training/rows.py",
            "embeddings/*.py",
            "models/*.py",
        ),
    output:
        RESULTS + "/overhead/{dataset}.parquet",
    log:
        RESULTS + "/logs/{dataset}/overhead.log",
    conda:
        "../../environment.yml"
    threads: workflow.cores
    resources:
        gpu=GPUS,
    params:
        data=DATA,
        options=overhead_options,
        device=DEVICE,
    shell:
        "mlet-bench overhead --data {params.data} {params.options} --device {params.device} --threads {threads}"
        " --out {output} > {log} 2>&1"
