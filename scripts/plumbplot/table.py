"""The table of results: one row per label, as CSV, Markdown and terminal text."""

import math

from . import gradients, stats, style
from .data import healthy, number

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
    "growth_ratio",
    "gradient_uniformity",
    "gradient_variation",
    "tok_per_s",
    "n_diverged",
    "n_unfinished",
    "note",
)


def losses(runs, name):
    """{seed: final_val_loss or best_val_loss} of the finished runs that have a finite one."""
    found = {r.seed: number(r.summary.get(name)) for r in runs if r.status == "finished"}
    return {seed: x for seed, x in found.items() if math.isfinite(x)}


def mean_of(values):
    values = [v for v in values if math.isfinite(v)]
    return sum(values) / len(values) if values else math.nan


def growth(run):
    """stream_rms[L] / stream_rms[1] at the last probe."""
    profile = run.by_depth("stream_rms")
    return math.nan if profile is None or not profile[1] > 0 else float(profile[-2] / profile[1])


def speed(run):
    return number(
        run.summary.get(
            "tok_per_s", next((r.get("tok_per_s") for r in reversed(run.metrics.values())), None)
        )
    )


def results(experiment):
    """List of {column of HEADER: value}. Diverged and unfinished runs are counted and left out of
    the losses.
    """
    base = (
        losses(experiment.groups[experiment.baseline], "final_val_loss")
        if experiment.baseline
        else {}
    )
    table = []
    for label, runs in experiment.groups.items():
        final, best = losses(runs, "final_val_loss"), losses(runs, "best_val_loss")
        row = {
            "label": label,
            "mixer": runs[0].mixer,
            "n_seeds": len(final),
            "params": next((r.summary["params"] for r in runs if "params" in r.summary), math.nan),
            "baseline": experiment.baseline or "",
        }
        row["final_val_loss"], row["final_val_loss_half_95"] = stats.interval(list(final.values()))
        row["best_val_loss"], row["best_val_loss_half_95"] = stats.interval(list(best.values()))
        difference, half, row["p"], row["n_pairs"] = (
            (math.nan, math.nan, math.nan, 0)
            if label == experiment.baseline
            else stats.paired(final, base)
        )
        row.update(
            difference=difference,
            difference_low_95=difference - half,
            difference_high_95=difference + half,
        )
        row["growth_ratio"] = mean_of(growth(r) for r in healthy(runs))
        row["gradient_uniformity"], row["gradient_variation"] = gradients.group_figures(
            healthy(runs)
        )
        row["tok_per_s"] = mean_of(speed(r) for r in runs)
        row["n_diverged"] = sum(r.status == "diverged" for r in runs)
        row["n_unfinished"] = sum(r.status == "unfinished" for r in runs)
        row["note"] = note(row)
        table.append(row)
    for row, p in zip(table, stats.holm([row["p"] for row in table])):
        row["p_holm"] = p
    return table


def note(row):
    words = ["n<3"] if row["n_seeds"] < 3 else []
    words += [f"{row[f'n_{k}']} {k}" for k in ("diverged", "unfinished") if row[f"n_{k}"]]
    return ", ".join(words)


def with_half(mean, half, digits=4):
    if math.isnan(mean):
        return "-"
    return f"{mean:.{digits}f}" + ("" if math.isnan(half) else f" ±{half:.{digits}f}")


def p_text(p):
    return "-" if math.isnan(p) else "<0.0001" if p < 1e-4 else f"{p:.4f}"


def shown(row):
    """The row's cells as text, in the order of `titles`."""
    low = row["difference"] - row["difference_low_95"]
    difference = with_half(row["difference"], low)
    return (
        row["label"],
        str(row["n_seeds"]),
        "-" if math.isnan(row["params"]) else f"{row['params']:,}",
        with_half(row["final_val_loss"], row["final_val_loss_half_95"]),
        with_half(row["best_val_loss"], row["best_val_loss_half_95"]),
        difference if difference == "-" or row["difference"] < 0 else "+" + difference,
        p_text(row["p"]),
        p_text(row["p_holm"]),
        *(
            "-" if math.isnan(x) else f"{x:.2f}"
            for x in (row["growth_ratio"], row["gradient_uniformity"], row["gradient_variation"])
        ),
        "-" if math.isnan(row["tok_per_s"]) else f"{row['tok_per_s']:,.0f}",
        row["note"],
    )


def titles(experiment):
    return (
        "mixer",
        "n",
        "parameters",
        "final val loss",
        "best val loss",
        f"minus {experiment.baseline or 'baseline'}",
        "p",
        "p (Holm)",
        "growth",
        "grad U",
        "grad CV",
        "tokens/s",
        "note",
    )


EXPLANATION = (
    "n: finished seeds. ±: half of the 95 % t interval. minus: final val loss, paired by seed. "
    "growth: stream rms after the last sublayer / after the first. grad U, CV: uniformity and "
    "variation of dLoss/dv over depth (U 1 = uniform)."
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
    lines = [head, ["---"] + ["---:"] * (len(head) - 2) + ["---"]] + [shown(row) for row in table]
    title = f"# {experiment.title}\n\n" if experiment.title else ""
    return (
        title + "\n".join("| " + " | ".join(line) + " |" for line in lines) + f"\n\n{EXPLANATION}\n"
    )


def write(experiment, table, out):
    files = [
        style.write_csv(out / "results.csv", HEADER, ([row[k] for k in HEADER] for row in table)),
        out / "results.md",
    ]
    files[1].write_text(markdown(experiment, table))
    return files
