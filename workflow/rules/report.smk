# Everything a reader looks at: tables, figures, the page, and the runs in MLflow.
rule config:
    output:
        f"{RESULTS}/config.json",
    log:
        f"{RESULTS}/logs/config.log",
    priority: 100  # first, so that 'mlet-bench status' can look at any time
    localrule: True
    conda:
        "../../environment.yml"
    params:
        config=lambda wildcards: json.dumps(sealed(config), indent=2),  # a function: braces in a name are no wildcard
    shell:
        "printf '%s\\n' {params.config:q} > {output:q} 2> {log:q} && sync {output:q} 2>> {log:q}"


rule report:
    input:
        config=f"{RESULTS}/config.json",
        schemas=expand(f"{DATA}/schema.json", dataset=config["datasets"]),
        runs=every_job(),
        overhead=timed(),
    output:
        page=report(f"{RESULTS}/report.html", caption="../report/page.rst", category="Report"),
        summary=f"{RESULTS}/summary.md",
        claims=f"{RESULTS}/claims.md",
        tables=report(
            directory(f"{RESULTS}/tables"), patterns=["{name}.csv"], caption="../report/table.rst", category="Tables"
        ),
        figures=report(
            directory(f"{RESULTS}/figures"),
            patterns=["{name}.svg"],
            caption="../report/figure.rst",
            category="Figures",
        ),
    log:
        f"{RESULTS}/logs/report.log",
    conda:
        "../../environment.yml"
    params:
        code=report_code(),
        results=subpath(input.config, parent=True),
    shell:
        "mlet-bench report {params.results:q} > {log:q} 2>&1"


# MLflow is a sink: its database is nobody's input, so only this note of what was synced is declared. It waits for all
# that the report reads, the timings too, or a report restored from the store would lack what came later.
rule sync:
    input:
        **dict(rules.report.input.items()),
    output:
        f"{RESULTS}/mlflow.synced.txt",
    log:
        f"{RESULTS}/logs/sync.log",
    conda:
        "../../environment.yml"
    params:
        code=code("tracking.sync_command"),
        results=subpath(input.config, parent=True),
    shell:
        "mlet-bench sync {params.results:q} > {output:q} 2> {log:q}"
