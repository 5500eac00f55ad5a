"""What the report says, free of markup; ``summary.md`` and ``report.html`` are two renderings of it."""

from itertools import chain

from mlet_bench.claims.ledger import claims
from mlet_bench.display.document import Plot, Report, Section
from mlet_bench.display.text import listed
from mlet_bench.models import model_title
from mlet_bench.report import FIGURES
from mlet_bench.report.answer import answer, models_section
from mlet_bench.report.budget import advice, budget_section
from mlet_bench.report.curves import longer_section
from mlet_bench.report.ledger import claims_section, entries
from mlet_bench.report.origin import not_done, provenance, what_ran
from mlet_bench.report.quality import doubt_section, main_section, quality_sections
from mlet_bench.report.reweighting import reweighting_section
from mlet_bench.tables.results import Results


def make_report(results: Results) -> Report:
    """The report of one profile."""
    datasets = list(results.config["datasets"])
    synthetic = [name for name in datasets if results.planted(name) is not None]
    mark = "" if not synthetic else " (synthetic data)" if synthetic == datasets else " (in part synthetic data)"
    told = [
        *(budget_section(results), main_section(results), claims_section(results), models_section(results)),
        *(*quality_sections(results), doubt_section(results)),
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
        lead=[*advice(results), *answer(results)],
        sections=[*told, what_ran(results), not_done(results), provenance(results)],
        ledger=entries(results),
    )


def all_plots() -> list[Plot]:
    """Every figure: those of the registry, then those of the claims."""
    return [*(FIGURES[name] for name in FIGURES), *(claim.plot for claim in claims() if claim.plot is not None)]


def _warning(results: Results, synthetic: list[str]) -> str:
    """Why there is no verdict; said once."""
    datasets = results.config["datasets"]
    parts = [name for name in datasets if results.is_part(name)]
    said = []
    if synthetic:
        where = "" if len(synthetic) == len(datasets) else f" on {listed(synthetic)}"
        said.append(f"No verdict{where}: generated rows.")
    if own := list(dict.fromkeys(model_title(setting.model) for setting in results.settings if setting.is_own)):
        said.append(f"The verdicts are about {listed(own)} on these rows, not about the papers' models and data.")
    foreign = [setting.dataset for setting in results.settings if not (setting.is_planted or setting.is_own)]
    if other := [name for name in dict.fromkeys(foreign) if not results.is_of_papers(name)]:
        said.append(f"The verdicts on {listed(other)} are about these rows: the papers say nothing of them.")
    if parts:
        said.append(f"Only a part of the rows of {listed(parts)} was used: no claim about quality is decided by it.")
    return " ".join(said)
