"""Plumb's runs in Python: reading them, comparing them, figures, tables and pages.

    import plumb
    runs = plumb.load("runs/blocks")              # a sweep, a folder of runs, a glob, or several
    runs.table                                    # one row a run (DataFrame where pandas is here)
    runs.metrics(["val/loss"])                    # long: step, tokens, value; unsampled
    runs.depth("stream_rms")                      # by depth
    runs["1f0c9e"].matrix(step=1000)              # array (L+1, L+1)
    c = plumb.compare(runs, baseline="standard")  # what `plumb compare` prints: c.rows, c.frame
    print(c.text())

reading/ reads run folders and groups runs, stats.py counts, comparison/ compares, figures/ draws
(style.py and layout.py say how figures look; most of the others are one figure each), pages/ writes
the pages of results. `python -m plumb COMMAND` is what `plumb compare` and `plumb figures` call.
"""


def load(where):
    """Runs (reading/runs.py) of a sweep's folder or file, a folder of runs, a run, a glob, or a
    list of these. Summaries are read now, logs when they are asked for.
    """
    from .reading.runs import load

    return load(where)


def compare(runs, **options):
    """Comparison (comparison/compare.py) of what `load` gave, or of a path; options as there."""
    from .comparison.compare import compare

    return compare(runs, **options)
