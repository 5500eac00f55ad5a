"""From run folders to tables, figures, ``summary.md`` and ``report.html``; what is missing is shown as missing."""
