"""C3: the model that is served predicts what was trained, and its tables have the baseline's size."""

from mlet_bench.arms import ARMS, BASELINE
from mlet_bench.claims import CLAIMS
from mlet_bench.claims.claim import MODELS_A, PAPER_A, Claim
from mlet_bench.claims.comparisons import AS_PAPER, Comparison
from mlet_bench.claims.finding import Finding, undone
from mlet_bench.claims.verdicts import NOT_REPRODUCED, NOT_RUN, REPRODUCED, UNDECIDED, Judged
from mlet_bench.errors import DeployRefusedError
from mlet_bench.tables.results import Setting

LOGIT = 1e-5  # rounding of float32 products, far below what a rank or a loss notices: evaluation.deploy.logit_tolerance


def judge_collapse(largest: float, sizes_equal: bool, complete: bool, allowed: float = LOGIT) -> Judged:
    """C3: collapsing changes no logit of a run by more than ``LOGIT``, or ``LOGIT`` of its largest logit where that is
    above 1, and leaves tables of the baseline's size, which is ∝ d.

    No statistics: one run that breaks it is enough against it, and all runs must be there to show it.

    Args:
        largest, allowed: of the run that comes closest to what is allowed, or passes it, both in logit.
    """
    if not largest <= allowed or not sizes_equal:
        return Judged(NOT_REPRODUCED, 0.0)
    return Judged(REPRODUCED, 0.0) if complete else Judged(UNDECIDED)


@CLAIMS.add
class DeployedClaim(Claim):
    name = "C3"
    sentence = "Collapsing changes no prediction, and the collapsed model's size scales as d."
    source = PAPER_A
    models = MODELS_A
    rule = staticmethod(judge_collapse)
    comparisons = (AS_PAPER,)
    part_decides = True  # rounding is the same on a part of the rows

    def find(self, setting: Setting, comparison: Comparison) -> Finding:
        """The largest change of a logit by collapsing, and the table bytes beside those of ``single`` at the same d."""
        runs = setting.runs
        factored = runs[runs["arm"].isin([name for name, arm in ARMS.items() if arm.method == "mlet"])]
        done = factored[factored["status"] == "done"]
        # A model that moves a logit too far is not deployed, and its run counts as failed: that is the claim failing.
        refused = factored[factored["kind"] == DeployRefusedError.kind]
        known = done.dropna(subset=["max_logit_difference"])
        if known.empty and refused.empty:
            return Finding(Judged(NOT_RUN), note=undone(runs, factored["cell"].unique()) or "no collapse was checked")
        largest = worst = float("inf")
        allowed = LOGIT
        if refused.empty:
            moved_by, most = (known[name].to_numpy(float) for name in ("max_logit_difference", "logit_tolerance"))
            closest = (moved_by / most).argmax()
            worst, allowed, largest = float(moved_by[closest]), float(most[closest]), float(moved_by.max())
        size = runs[(runs["arm"] == BASELINE) & (runs["status"] == "done")]
        size = size.groupby("dim")["deployed_tables_bytes"].first()
        compared = done[done["dim"].isin(size.index)]
        equal = (compared["deployed_tables_bytes"] == compared["dim"].map(size)).all()
        equal = bool(equal and (size / size.index).nunique() <= 1)
        complete = len(known) == len(factored) == len(compared)
        sizes = "table bytes equal single's and grow as d" if equal else "table bytes differ from single's"
        moved = "a collapse was refused" if len(refused) else f"no logit moved by more than {largest:.1e}"
        note = "" if complete else f"{len(factored) - len(known)} of {len(factored)} runs have no number"
        cells = tuple(factored["cell"].unique())
        return Finding(judge_collapse(worst, equal, complete, allowed), f"{moved}; {sizes}", cells=cells, note=note)
