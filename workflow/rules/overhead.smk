# Time MLET's steps against the baseline's. Waits for every other job and takes the whole machine.
rule overhead:
    input:
        quiet=every_job(),
        schema=f"{DATA}/schema.json",
        data=f"{DATA}/train.parquet",
    output:
        f"{RESULTS}/overhead/{{dataset}}/{{model}}.parquet",
    log:
        f"{RESULTS}/logs/{{dataset}}/{{model}}/overhead.log",
    conda:
        "../../environment.yml"
    threads: workflow.cores
    resources:
        gpu=GPUS,
    params:
        code=lambda wildcards: overhead_code(wildcards),
        data=subpath(input.schema, parent=True),
        options=overhead_options,
        device=DEVICE,
    shell:
        "mlet-bench overhead --data {params.data:q} {params.options} --device {params.device:q} --threads {threads}"
        " --out {output:q} > {log:q} 2>&1"
