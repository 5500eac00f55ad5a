# Raw file → Parquet data set. The raw file is downloaded, made by the generator, or the user's own.
DOWNLOADS = {
    ("criteo-kaggle", "download"): "criteo-kaggle",
    ("criteo-kaggle", "sample"): "criteo-kaggle-sample",
    ("avazu", "download"): "avazu",
}


def raw_file(wildcards):
    """The raw file, or for downloads the note that says where it lies."""
    dataset = config["datasets"][wildcards.dataset]
    if dataset["source"] == "file":
        return dataset["file"]
    if dataset["source"] == "synthesize":
        return f"{RESULTS}/raw/{wildcards.dataset}.txt"
    return f"data/raw/{DOWNLOADS[wildcards.dataset, dataset['source']]}.path"


def preparation_options(wildcards):
    dataset = config["datasets"][wildcards.dataset]
    limit = f" --max-rows {dataset['max_rows']}" if "max_rows" in dataset else ""
    return f"--split {dataset['split']}{limit}"


rule download:
    output:
        "data/raw/{source}.path",
    log:
        "data/raw/{source}.log",
    conda:
        "../../environment.yml"
    shell:
        "mlet-bench download {wildcards.source} --out data/raw > {output} 2> >(tee {log} >&2)"


rule synthesize:
    input:
        code=code("data/synthetic.py", "data/planted.py"),
    output:
        raw=RESULTS + "/raw/{dataset}.txt",
        planted=RESULTS + "/raw/{dataset}.txt.planted.json",
    log:
        RESULTS + "/logs/{dataset}/synthesize.log",
    conda:
        "../../environment.yml"
    params:
        rows=lambda wildcards: config["datasets"][wildcards.dataset]["rows"],
        seed=lambda wildcards: config["datasets"][wildcards.dataset].get("seed", 0),
    shell:
        "mlet-bench synthesize {wildcards.dataset} --rows {params.rows} --seed {params.seed} --out {output.raw} > {log} 2>&1"


rule prepare:
    input:
        raw=raw_file,
        code=code(
            "data/raw.py",
            "data/format.py",
            "data/parse.py",
            "data/criteo.py",
            "data/avazu.py",
            "data/split.py",
            "data/vocabulary.py",
            "data/assemble.py",
            "data/encode.py",
        ),
    output:
        schema=DATA + "/schema.json",
        train=DATA + "/train.parquet",
        val=DATA + "/val.parquet",
        test=DATA + "/test.parquet",
        vocabulary=directory(DATA + "/vocabulary"),
    log:
        RESULTS + "/logs/{dataset}/prepare.log",
    conda:
        "../../environment.yml"
    threads: workflow.cores
    params:
        raw=lambda wildcards, input: (
            f"$(cat {input.raw})" if str(input.raw).endswith(".path") else input.raw
        ),
        out=DATA,
        options=preparation_options,
    shell:
        'mlet-bench prepare {wildcards.dataset} --raw "{params.raw}" --out {params.out} {params.options} > {log} 2>&1'
