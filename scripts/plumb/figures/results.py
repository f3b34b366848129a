"""The table of results: one row per variant, as CSV, Markdown and terminal text."""

import math

from .. import stats
from ..wording import in_markdown
from . import style

HEADER = (
    "label",
    "mixer",
    "n_seeds",
    "params",
    "final_val_loss",
    "final_val_loss_half_95",
    "best_val_loss",
    "best_val_loss_half_95",
    "baseline",
    "difference",
    "difference_low_95",
    "difference_high_95",
    "n_pairs",
    "p",
    "p_holm",
    "gradient_log_slope",
    "gradient_variation",
    "tok_per_s",
    "n_diverged",
    "n_unfinished",
    "n_damaged",
    "note",
)


def losses(variant, name):
    """{seeds: final_val_loss or best_val_loss} of the finished runs that have a finite one."""
    found = {k: r.summary.get(name, math.nan) for k, r in variant.seeds.items()}
    return {seed: x for seed, x in found.items() if math.isfinite(x)}


def mean_of(values):
    values = [v for v in values if math.isfinite(v)]
    return sum(values) / len(values) if values else math.nan


def gradient_figures(run):
    """(log-slope per sublayer, CV) of rms dLoss/dv over l = 1..L at the last probe, or NaNs."""
    profile = run.by_depth("dout_rms")
    if profile is None:
        return math.nan, math.nan
    inner = profile[1:-1]
    return stats.log_slope(inner), stats.variation(inner)


def row_of(variant, base):
    """{column: value}, without p_holm; base: the variant it is compared with, or None."""
    final, best = losses(variant, "final_val_loss"), losses(variant, "best_val_loss")
    every = variant.runs + variant.left_out
    row = {
        "label": variant.label,
        "mixer": variant.mixer,
        "n_seeds": len(final),
        "params": next((r.summary["params"] for r in every if "params" in r.summary), math.nan),
        "baseline": base.label if base else "",
    }
    row["final_val_loss"], row["final_val_loss_half_95"] = stats.interval(list(final.values()))
    row["best_val_loss"], row["best_val_loss_half_95"] = stats.interval(list(best.values()))
    difference, half, row["p"], row["n_pairs"] = (
        stats.paired(final, losses(base, "final_val_loss")) if base else (math.nan,) * 3 + (0,)
    )
    row.update(
        difference=difference,
        difference_low_95=difference - half,
        difference_high_95=difference + half,
    )
    figures = zip(*map(gradient_figures, variant.runs)) if variant.runs else ((), ())
    names = ("gradient_log_slope", "gradient_variation")
    row.update({name: mean_of(values) for name, values in zip(names, figures)})
    row["tok_per_s"] = mean_of(r.summary.get("tok_per_s", math.nan) for r in variant.runs)
    for status in ("diverged", "unfinished", "damaged"):
        row[f"n_{status}"] = sum(r.status == status for r in variant.left_out)
    row["note"] = note(row)
    return row


def results(experiment):
    """List of {column of HEADER: value}, one a variant. Runs that are not finished are counted and
    left out of everything else.
    """
    table = []
    for label, variant in experiment.variants.items():
        base = experiment.baseline_of(label)
        table.append(row_of(variant, experiment.variants[base] if base else None))
    for row, p in zip(table, stats.holm([row["p"] for row in table])):
        row["p_holm"] = p
    return table


def note(row):
    words = ["n<3"] if row["n_seeds"] < 3 else []
    words += [
        f"{row[f'n_{k}']} {k}" for k in ("diverged", "unfinished", "damaged") if row[f"n_{k}"]
    ]
    return ", ".join(words)


def with_half(mean, half, digits=4):
    if math.isnan(mean):
        return "-"
    return f"{mean:.{digits}f}" + ("" if math.isnan(half) else f" ±{half:.{digits}f}")


def p_text(p):
    return "-" if math.isnan(p) else "<0.0001" if p < 1e-4 else f"{p:.4f}"


def count_text(x):
    return "-" if math.isnan(x) else f"{x:,.0f}"


def shown(row):
    """The row's cells as text, in the order of `titles`."""
    low = row["difference"] - row["difference_low_95"]
    difference = with_half(row["difference"], low)
    return (
        row["label"],
        str(row["n_seeds"]),
        count_text(row["params"]),
        with_half(row["final_val_loss"], row["final_val_loss_half_95"]),
        difference if difference == "-" or row["difference"] < 0 else "+" + difference,
        p_text(row["p"]),
        p_text(row["p_holm"]),
        with_half(row["gradient_log_slope"], math.nan, 3),
        with_half(row["gradient_variation"], math.nan, 2),
        count_text(row["tok_per_s"]),
        row["note"],
    )


def titles(experiment):
    bases = {experiment.baseline_of(k) for k in experiment.variants} - {None}
    return (
        "variant",
        "n",
        "parameters",
        "final val loss",
        f"minus {bases.pop()}" if len(bases) == 1 else "minus baseline",
        "p",
        "p (Holm)",
        "grad slope",
        "grad CV",
        "tokens/s",
        "note",
    )


EXPLANATION = (
    "n: finished seeds. ±: half of the 95 % t interval. minus: final val loss, paired by seed. "
    "grad slope: slope of ln rms dLoss/dv per sublayer, 0 is even; CV: its std / mean over depth."
)


def text(experiment, table):
    lines = [titles(experiment)] + [shown(row) for row in table]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            c.ljust(w) if i in (0, len(widths) - 1) else c.rjust(w)
            for i, (c, w) in enumerate(zip(line, widths))
        ).rstrip()
        for line in lines
    )


def markdown(experiment, table):
    head = titles(experiment)
    lines = [[in_markdown(c) for c in line] for line in (head, *map(shown, table))]
    lines.insert(1, ["---"] + ["---:"] * (len(head) - 2) + ["---"])
    title = f"# {in_markdown(experiment.title)}\n\n" if experiment.title else ""
    body = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return f"{title}{body}\n\n{EXPLANATION}\n" + left_out(experiment)


def left_out(experiment):
    lines = [f"- {in_markdown(line)}\n" for line in experiment.left_out()]
    return "\nLeft out:\n\n" + "".join(lines) if lines else ""


def write(experiment, table, out):
    files = [
        style.write_csv(out / "results.csv", HEADER, ([row[k] for k in HEADER] for row in table)),
        out / "results.md",
    ]
    files[1].write_text(markdown(experiment, table))
    return files
