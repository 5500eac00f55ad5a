# Everything a reader looks at: tables, figures, the page, and the runs in MLflow.
rule config:
    output:
        RESULTS + "/config.json",
    log:
        RESULTS + "/logs/config.log",
    localrule: True
    params:
        config=config,
    run:
        from mlet_bench.files import write_json

        write_json(output[0], params.config)


rule report:
    input:
        config=RESULTS + "/config.json",
        schemas=expand(DATA + "/schema.json", dataset=config["datasets"]),
        metrics=every("metrics.json"),
        spectra=every("spectrum.parquet"),
        overhead=expand(
            RESULTS + "/overhead/{dataset}.parquet", dataset=config["datasets"]
        ),
        code=code("reporting/*.py", "analysis/statistics.py"),
    output:
        page=RESULTS + "/report.html",
        summary=RESULTS + "/summary.md",
        tables=directory(RESULTS + "/tables"),
        figures=directory(RESULTS + "/figures"),
    log:
        RESULTS + "/logs/report.log",
    conda:
        "../../environment.yml"
    params:
        results=RESULTS,
    shell:
        "mlet-bench report {params.results} > {log} 2>&1"


# MLflow is a sink: its database is nobody's input, so only this note of what was synced is declared.
rule sync:
    input:
        config=RESULTS + "/config.json",
        metrics=every("metrics.json"),
        code=code("tracking.py"),
    output:
        RESULTS + "/mlflow.synced.txt",
    log:
        RESULTS + "/logs/sync.log",
    conda:
        "../../environment.yml"
    params:
        results=RESULTS,
    shell:
        "mlet-bench sync {params.results} > {output} 2> {log}"
