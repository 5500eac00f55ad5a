# Raw file → Parquet data set. The raw file is downloaded, made by the generator, or the user's own; so may a table be, or a
# prepared folder.
rule download:
    output:
        "data/raw/{source}.path",
    log:
        "data/raw/{source}.log",
    conda:
        "../../environment.yml"
    shell:
        "mlet-bench download {wildcards.source:q} --out data/raw > {output:q} 2> >(tee {log:q} >&2)"


rule synthesize:
    output:
        raw=f"{RESULTS}/raw/{{dataset}}.txt",
        planted=f"{RESULTS}/raw/{{dataset}}.txt.planted.json",
    log:
        f"{RESULTS}/logs/{{dataset}}/synthesize.log",
    conda:
        "../../environment.yml"
    params:
        code=data_code("stages.synthesize"),
        of=prepared_as,
        rows=lambda wildcards: config["datasets"][wildcards.dataset]["rows"],
        seed=lambda wildcards: config["datasets"][wildcards.dataset].get("seed", 0),
        plant=lambda wildcards: config["datasets"][wildcards.dataset].get("plant", "none"),
    shell:
        "mlet-bench synthesize {params.of:q} --rows {params.rows} --seed {params.seed} --plant {params.plant:q}"
        " --out {output.raw:q} > {log:q} 2>&1"


rule prepare:
    input:
        raw=raw_file,
    output:
        schema=f"{DATA}/schema.json",
        train=f"{DATA}/train.parquet",
        val=f"{DATA}/val.parquet",
        test=f"{DATA}/test.parquet",
        vocabulary=directory(f"{DATA}/vocabulary"),
    log:
        f"{RESULTS}/logs/{{dataset}}/prepare.log",
    conda:
        "../../environment.yml"
    threads: workflow.cores
    params:
        code=data_code("stages.prepare"),
        of=prepared_as,
        raw=raw_option,
        stamp=raw_stamp,
        out=subpath(output.schema, parent=True),
        options=preparation_options,
    shell:
        "mlet-bench prepare {params.of:q} --raw {params.raw} --out {params.out:q} {params.options} > {log:q} 2>&1"
