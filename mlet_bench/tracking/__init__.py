"""Finished runs into MLflow and back; the only package that imports it, and only when it is used.

Files are the truth and MLflow is a sink: the store can be thrown away and filled again. A run is looked up by its id,
a hash of its files says whether it is up to date, and that hash is written last, so that a run without it is
half-written and is replaced by the next sync. What a report reads is among a run's artifacts, so that a team's server
gives back every table where no run folder is at hand.
"""

from mlet_bench.tracking.restore import restore
from mlet_bench.tracking.sync import SyncReport, sync

__all__ = ["SyncReport", "restore", "sync"]
