# Time MLET's steps against the baseline's. Waits for every other job and takes the whole machine.
rule overhead:
    input:
        quiet=[every("metrics.json"), every("spectrum.parquet")],
        schema=f"{DATA}/schema.json",
        data=f"{DATA}/train.parquet",
    output:
        f"{RESULTS}/overhead/{{dataset}}.parquet",
    log:
        f"{RESULTS}/logs/{{dataset}}/overhead.log",
    conda:
        "../../environment.yml"
    threads: workflow.cores
    resources:
        gpu=GPUS,
    params:
        code=code("overhead"),
        data=subpath(input.schema, parent=True),
        options=overhead_options,
        device=DEVICE,
    shell:
        "mlet-bench overhead --data {params.data} {params.options} --device {params.device} --threads {threads}"
        " --out {output} > {log} 2>&1"
