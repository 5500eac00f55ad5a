"""What the report says, free of markup; ``summary.md`` and ``report.html`` are two renderings of it."""

from itertools import chain

from mlet_bench.claims.ledger import claims
from mlet_bench.display.document import Plot, Report, Section
from mlet_bench.display.text import listed
from mlet_bench.report import FIGURES
from mlet_bench.report.answer import answer, main_section
from mlet_bench.report.budget import budget_section
from mlet_bench.report.curves import longer_section
from mlet_bench.report.ledger import claims_section
from mlet_bench.report.origin import not_done, provenance, what_ran
from mlet_bench.report.quality import quality_section, sampling_section
from mlet_bench.report.reweighting import reweighting_section
from mlet_bench.tables.results import Results


def make_report(results: Results) -> Report:
    """The report of one profile."""
    datasets = list(results.config["datasets"])
    synthetic = [name for name in datasets if results.planted(name) is not None]
    mark = "" if not synthetic else " (synthetic data)" if synthetic == datasets else " (in part synthetic data)"
    arms = _arms(results.config)
    told = [
        *(
            main_section(results, arms),
            claims_section(results),
            budget_section(results),
            quality_section(results),
            sampling_section(results),
        ),
        *(claim.section(results) for claim in claims()),
        *(reweighting_section(results), longer_section(results)),
    ]
    told = [section for section in told if section is not None]
    shown = set(chain.from_iterable(section.figures for section in told))
    # A figure that no section shows has one of its own.
    told += [Section(plot.title, figures=[plot.name]) for plot in all_plots() if plot.name not in shown]
    return Report(
        title=f"Multi-Layer Embedding Training: {results.profile}{mark}",
        warning=_warning(results, synthetic),
        lead=answer(results),
        sections=[*told, what_ran(results, arms), not_done(results), provenance(results)],
    )


def all_plots() -> list[Plot]:
    """Every figure: those of the registry, then those of the claims."""
    return [*(FIGURES[name] for name in FIGURES), *(claim.plot for claim in claims() if claim.plot is not None)]


def _warning(results: Results, synthetic: list[str]) -> str:
    parts = [name for name in results.config["datasets"] if results.is_part(name)]
    said = []
    if synthetic:
        said.append(
            f"The rows of {listed(synthetic)} were made by the generator, not measured: "
            "no claim of the paper is decided by them."
        )
    if own := list(dict.fromkeys(setting.model.upper() for setting in results.settings if setting.is_own)):
        said.append(f"The verdicts are about {listed(own)} on these rows, not about the papers' models and data.")
    if parts:
        said.append(f"Only a part of the rows of {listed(parts)} was used: no claim about quality is decided by it.")
    return " ".join(said)


def _arms(config: dict) -> list[str]:
    """The arms of the main grid and of the controls, each once."""
    controls = config.get("controls", {})
    return list(dict.fromkeys(config["arms"] + (controls["arms"] if controls.get("enabled") else [])))
