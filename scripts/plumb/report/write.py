"""Everything that `plumb report` writes."""

import argparse
import math
from pathlib import Path

from ..comparison.compare import compare
from ..figures import style
from ..figures.cli import draw_all
from ..reading.files import UsageError
from ..reading.runs import load as load_runs
from . import build, gallery, records
from .material import finished, gather

def title_of(options, runs):
    if options.title:
        return options.title
    if runs.sweep:
        return runs.sweep.hypothesis or runs.sweep.name
    return Path(options.folders[0]).resolve().name


def load(options, say):
    """The Material of the folders that were given."""
    folders = options.folders
    if options.margin is not None and not 0 <= options.margin < math.inf:
        raise UsageError("--margin is a distance: a number that is not below 0")
    runs = load_runs(folders, say)
    say(f"comparing {len(runs)} runs")
    wanted = {k: getattr(options, k) for k in ("baseline", "metric", "margin")}
    comparison = compare(runs, **{k: v for k, v in wanted.items() if v is not None})
    title = title_of(options, runs)
    experiment = runs.experiment({r.label: r.baseline for r in comparison.rows if r.baseline}, title)
    return gather(runs, comparison, title, " ".join(folders), experiment)


def figures(m, out, say):
    """The figures for a paper: SVG, PNG and CSV of each that has data."""
    style.use()
    wanted = argparse.Namespace(out=out, figures=None, reference=None)
    return draw_all(wanted, m.experiment, say)[0]


TIMING = ("label", "seed", "id", "run", "time_s", "tok_per_s", "peak_memory_bytes", "device")


def timing_rows(m):
    for row in m.rows:
        for run in finished(row):
            time, memory = (run.timing.get(k, "") for k in ("time_s", "peak_memory_bytes"))
            yield row.label, run.seed, run.id, run.path.name, time, run.tok_per_s, memory, run.device


def report(options, say):
    """Writes the page of options.folders and what lies beside it; returns the paths."""
    m = load(options, say)
    out = Path(options.out)
    numbers = out / "figures"
    numbers.mkdir(parents=True, exist_ok=True)
    page = out / "index.html"
    page.write_text(build.page(m, options.out, say), encoding="utf-8")
    written = [page, gallery.write_card(m, out)]
    for name, text in (
        ("results.csv", m.comparison.csv()),
        ("table.tex", m.comparison.latex()),
        ("REPRODUCE.md", records.reproduce(m, options.out)),
    ):
        written.append(out / name)
        written[-1].write_text(text, encoding="utf-8")
    written.append(style.write_csv(out / "timing.csv", TIMING, timing_rows(m)))
    for name, (header, rows) in m.tables.items():
        written.append(style.write_csv(numbers / f"{name}.csv", header, rows))
    if not options.no_figures:
        written += figures(m, numbers, say)
    return written
