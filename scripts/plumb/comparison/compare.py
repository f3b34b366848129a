"""A comparison of runs: everything that `plumb compare` and the report say, as data."""

import dataclasses
from dataclasses import dataclass, field

import numpy as np

from ..reading.files import UsageError, printable
from ..reading.runs import Cell, Runs, load, point_words
from . import baseline as baselines
from . import curves, formats, provenance, scaling, text, tuning
from . import rows as tables
from .question import AT_UNITS, Question, ask


@dataclass
class Comparison:
    question: Question
    rows: list
    overall: list = field(default_factory=list)  # rows over the points of the grid
    secondary: list = field(default_factory=list)  # rows of further metrics, exploratory
    curves: list = field(default_factory=list)
    scaling: list = field(default_factory=list)
    tuning: list = field(default_factory=list)
    hypothesis: str = ""
    headline: str = ""
    matched: str = ""
    made_by: str = ""
    pairing: str = ""
    warnings: list = field(default_factory=list)
    notes: list = field(default_factory=list)
    mixed: list = field(default_factory=list)  # warnings that --strict does not let pass
    left_out: list = field(default_factory=list)  # a line a run
    left_out_told: list = field(default_factory=list)  # the same in few lines
    family: str = "baseline"
    pool: bool = False

    metric = property(lambda self: self.question.metric)
    metric_name = property(lambda self: self.question.name)
    unit = property(lambda self: self.question.unit)
    margin = property(lambda self: self.question.margin)
    looks = property(lambda self: list(self.question.looks))
    level = property(lambda self: self.question.level)
    alpha = property(lambda self: self.question.alpha)
    baseline = property(lambda self: self.question.baseline)
    exploratory = property(lambda self: self.question.exploratory)

    @property
    def frame(self):
        """One row a variant: a DataFrame, or a Table without pandas."""
        return formats.frame_of(self)

    def as_dict(self):
        return formats.as_dict(self)

    def text(self, width=80):
        return text.text(self, width)

    def csv(self):
        return formats.csv_text(self)

    def markdown(self):
        return formats.markdown(self)

    def latex(self):
        return formats.latex(self)

    def __repr__(self):
        return self.text()


def orphans(runs):
    """Cells of the runs that the sweep file no longer has, by what they were planned as."""
    found = {}
    for run in runs.all:
        if run.status == "orphan" and run.plan and run.stage == "main":
            settings = {
                k: str(v) for k, v in run.plan.get("settings", {}).items() if k != "train.seed"
            }
            at = (run.variant, tuple(sorted(settings.items())))
            label = printable(" ".join([run.variant, *point_words(run.point), "(orphan)"]))
            found.setdefault(at, Cell(run.variant, run.point, label)).runs.append(run)
    for i, cell in enumerate(found.values(), 1):
        cell.label += f" {i}" if len(found) > 1 else ""
        for run in cell.runs:
            run.status, run.why = run.judged
    return list(found.values())


def headline(question, rows, looks):
    parts = [question.name + (f", {question.unit}" if question.unit else "")]
    ns = sorted({r.n for r in rows if r.n}) or [0]
    count = f"{ns[0]}" if len(ns) == 1 else f"{ns[0]} to {ns[-1]}"
    over = bool(rows) and rows[0].unit == "points"
    unit = ("point" if over else "seed") + ("s" if ns[-1] != 1 else "")
    parts.append(f"{count} {unit}{' of the grid' if over else ''}, paired")
    if any(r.is_baseline for r in rows):
        parts.append(f"baseline {printable(question.baseline)}")
    if question.margin:
        parts.append(f"margin {question.margin:g}")
    if looks:
        parts.append(planned_looks(looks))
    parts.append(f"{100 * question.level:.3g} % intervals")
    return "; ".join(parts)


def planned_looks(looks):
    """`one planned look, at 5 seeds`: what was declared, not how often anyone looked."""
    *first, last = map(str, looks)
    seeds = f"{last} seed" + ("" if looks == (1,) else "s")
    if not first:
        return f"one planned look, at {seeds}"
    return f"planned looks at {', '.join(first)} and {seeds}"


def warnings_of(runs, question, rows, problems, tuned):
    found = list(problems)
    few = [r.label for r in rows if r.baseline and r.n_pairs < 3]
    if few:
        found.append(f"fewer than 3 pairs, no p and no verdict: {provenance.listed(few)}")
    beyond = [r.label for r in rows if r.verdict_text.startswith("exploratory: seeds")]
    if beyond:
        found.append(
            "exploratory: seeds were added after results were seen (more than the last look, "
            f"{question.looks[-1]}): {provenance.listed(beyond)}"
        )
    if runs.sweep and runs.sweep.cull:
        n = sum(r.n_culled for r in rows)
        found.append(
            f"culling was on: {n} run{'s' if n != 1 else ''} stopped early, in no statistic"
        )
    dead = [r.label for r in rows if r.n_diverged]
    if dead:
        found.append(f"diverged runs are counted, never scored: {provenance.listed(dead)}")
    found += tuning.edge_warnings(tuned)
    found += baselines.warnings(runs, rows, question)
    return [printable(w) for w in found + provenance.sweep_warnings(runs.sweep)]


def check_values(rows, question):
    if not question.at or any(r.n for r in rows):
        return
    axis, runs = question.at[0], [r for row in rows for r in row.runs]
    if not any(curves.per_token(r, axis) > 0 for r in runs):
        raise UsageError(
            f"--at {axis}: these runs do not say what a token costs in {AT_UNITS[axis]}"
        )
    raise UsageError(
        f"--at {axis}={question.at[1]:g}: no validation curve reaches that far, or starts so soon"
    )


def check_keys(runs, by):
    """Keys that --by may name."""
    known = {k for c in runs.cells for k in c.point}
    for key in by:
        if key not in known | {"variant"}:
            there = ", ".join(sorted(known)) or "none: the variants differ in nothing else"
            raise UsageError(printable(f"--by {key} is no key of the grid; there are: {there}"))


def secondary_rows(cells, metrics, question, runs, family):
    """Further outcomes of the same runs, exploratory."""
    found = []
    for metric in metrics:
        other = ask(runs, question.baseline, metric, 0.0, question.looks)
        other = dataclasses.replace(other, exploratory=True)
        found += tables.make_rows(cells, other, runs.sweep, family)[0]
    return found


def compare(
    runs,
    baseline=None,
    metric=None,
    margin=None,
    by=None,
    looks=None,
    at=None,
    family="baseline",
    pool=False,
    to_loss=None,
    everything=False,
):
    """Compares every variant with the baseline.

    runs: what plumb.load gave, or a path. baseline: name of a variant, the label of a row,
    or settings that one row alone has ("lr=0.005"). metric, margin, looks: else what the sweep file
    declares (of folders: final_val_loss, none, one look); metrics after a first one and a comma are
    exploratory. by: keys of the grid that rows keep apart; over the others a row is the mean over
    points. at: "tokens=N" | "time=SECONDS" |
    "flops=N", the curve there. family: "baseline", or "all" for one table-wide correction. to_loss:
    the loss that curves have to reach. everything: orphans too.
    """
    runs = runs if isinstance(runs, Runs) else load(runs)
    metric, *further = metric.split(",") if metric else [None]
    question = ask(runs, baselines.baseline_named(runs, baseline), metric, margin, looks, at)
    check_keys(runs, by or ())
    cells = runs.cells + (orphans(runs) if everything else [])
    with np.errstate(all="ignore"):  # of numbers at the end of all numbers
        rows, problems = tables.make_rows(cells, question, runs.sweep, family)
    tuned = tuning.tune_rows(runs, question)
    check_values(rows, question)
    found = Comparison(question, rows, family=family, pool=pool, tuning=tuned)
    with np.errstate(all="ignore"):
        found.curves = curves.curve_rows(rows, question, to_loss)
        found.scaling = scaling.scaling_rows(rows, question)
        found.secondary = secondary_rows(cells, further, question, runs, family)
        merged = tables.over_points(rows, question, tuple(by or ()))
    if len(merged) < len(rows):
        found.overall = merged if any(r.baseline for r in merged) else []
        if by is not None:
            found.rows, found.overall = merged, []
    describe(found, runs, rows, problems)
    return found


def describe(found, runs, rows, problems):
    """rows: those of single points, whatever found.rows are."""
    question = found.question
    found.hypothesis = printable(runs.sweep.hypothesis) if runs.sweep else ""
    found.headline = headline(question, found.rows, question.looks)
    found.matched = provenance.matched(rows, runs.sweep)
    found.made_by = provenance.made_by([*runs, *runs.tune])  # the first stage chose
    found.pairing = provenance.pairing(rows)
    found.mixed = provenance.provenance_warnings(rows)
    found.warnings = warnings_of(runs, question, rows, problems, found.tuning) + found.mixed
    found.notes = list(question.notes)
    caveat = curves.caveat(rows)
    if caveat and (found.curves or question.at):
        found.notes.append(printable(caveat))
    if question.exploratory:
        found.notes.append(f"{question.name} is not the declared outcome: exploratory, BH q for p")
    found.left_out = provenance.left_out(runs)
    found.left_out_told = provenance.left_out_told(runs)
