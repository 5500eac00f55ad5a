"""Ledgers of made-up frames, for the tests of the claims."""

from collections.abc import Mapping
from functools import cache

from made_up import make_overhead, make_rare, make_results, make_spectrum, worth

from mlet_bench.claims import CLAIMS
from mlet_bench.claims.claim import ClaimRow
from mlet_bench.claims.comparisons import AS_PAPER

MISSING = ("missing", "", "not trained")
ARMS = ("single", "mlet", "single-lr")


def mlet(factor):
    """Quality where MLET is worth a single layer ``factor(d, k)`` times as wide."""
    return worth({"mlet": factor})


def results_of(runs, spectrum=None, overhead=None, rare=None, planted=(), parts=()):
    return make_results(
        runs,
        make_spectrum(runs, lambda arm, d: 0.8 if arm == "mlet" else 0.9) if spectrum is None else spectrum,
        make_overhead(lambda d, k: 0.2) if overhead is None else overhead,
        make_rare(runs, lambda arm, group: 0.0) if rare is None else rare,
        planted,
        parts,
    )


class Ledger(Mapping):
    """The rows of one comparison by claim, each by itself, made when it is asked for."""

    def __init__(self, results, comparison):
        def row(name):
            claim = CLAIMS[name]()
            found = claim.found(results, comparison)
            return claim.row(found, comparison, claim.judged(found).verdict)

        self.row = cache(row)
        self.comparison = comparison

    def __getitem__(self, claim) -> ClaimRow:
        return self.row(claim)

    def __iter__(self):
        return (name for name in CLAIMS if self.comparison in CLAIMS[name].comparisons)

    def __len__(self):
        return len(list(iter(self)))


def ledger(runs, *frames, comparison=AS_PAPER, **changes) -> Ledger:
    return Ledger(results_of(runs, *frames, **changes), comparison)
