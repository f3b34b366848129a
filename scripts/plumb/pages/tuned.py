"""The page of results/tuned: the gain of AttnRes when every mixer has its own learning rate."""


import numpy as np

from .. import stats
from ..figures import style
from ..wording import p_text, signed, with_interval
from .study import claim
from .sweep_study import SweepStudy, between, interval_text, standard_deviation

MIXERS = {"attnres": "full AttnRes", "block": "block AttnRes", "highway": "Highway", "hyper": "HC"}
GAIN = 0.02  # what was expected of AttnRes, and the band of highway: experiments/tuned.toml
LITTLE = 0.01  # what lr_scale 10 was to change at most
LOOKS = {name: style.LOOKS[{"block": "attnres_block"}.get(name, name)] for name in ("standard", *MIXERS)}


def rate_text(lr):
    return f"{1000 * lr:g}e-3"


class Page:
    def __init__(self, folder):
        self.study = SweepStudy(folder)
        self.base = self.study.values("standard")
        # {mixer: {(rate, lr_scale): {seed: loss}}} of the first stage; standard has lr_scale 1.
        self.tried, self.chosen, self.edges, self.diverged = {}, {}, {}, {}
        for r in self.study.answer["tuning"]:
            at = r["values"]["train.lr"], r["values"].get("mixer.lr_scale", 1.0)
            self.tried.setdefault(r["variant"], {})[at] = dict(zip(r["seeds"], r["losses"]))
            self.diverged[r["variant"], at] = r["n_diverged"]
            if r["chosen"]:
                self.chosen[r["variant"]] = at
                self.edges[r["variant"]] = r["edge"], r["edge_key"]
        claim(set(self.chosen) == {"standard", *MIXERS}, "a rate is chosen for every mixer")
        self.gain = {m: self.study.differences(m) for m in MIXERS}
        claim(
            all(set(g) == set(self.base) for g in self.gain.values()),
            "every mixer has the same reported seeds",
        )
        self.sd = standard_deviation([list(g.values()) for g in self.gain.values()])

    def mean(self, mixer, at):
        return float(np.mean(list(self.tried[mixer][at].values())))

    def apart(self, a, at, b, bt):
        """Losses of mixer a tried at `at` minus those of b at `bt`, by the seeds of the first stage."""
        mine, theirs = self.tried[a][at], self.tried[b][bt]
        return [mine[s] - theirs[s] for s in mine if s in theirs]

    def scale(self, mixer, lr_scale):
        """The best rate of this lr_scale, as (rate, lr_scale); None if it was not tried."""
        tried = [at for at in self.tried[mixer] if at[1] == lr_scale and self.tried[mixer][at]]
        return min(tried, key=lambda at: self.mean(mixer, at)) if tried else None

    def verdict(self, mixer):
        """-1 below standard, 0 not resolved, +1 above (Holm over the mixers)."""
        mean = np.mean(list(self.gain[mixer].values()))
        return int(np.sign(mean)) if self.study.row(mixer)["p_adjusted"] < 0.05 else 0

    def first_sentence(self):
        words = {-1: "is below", 0: "is not told from", 1: "is above"}
        said = [
            f"{MIXERS[m]} {words[self.verdict(m)]} `standard` ({interval_text(self.gain[m].values(), 3)} nats)"
            for m in ("attnres", "block")
        ]
        at_one_rate = {
            lr: self.apart("attnres", (lr, 1.0), "standard", (lr, 1.0))
            for lr in (at[0] for at in self.tried["standard"])
            if (lr, 1.0) in self.tried["attnres"]
        }
        by_size = sorted(at_one_rate, key=lambda lr: np.mean(at_one_rate[lr]))
        low, high = (f"{interval_text(at_one_rate[lr], 3)} at {rate_text(lr)}" for lr in (by_size[0], by_size[-1]))
        return (
            f"When every mixer has its own learning rate, {said[0]}, and {said[1]}; p is Holm's over four mixers. At one rate for all, "
            f"full AttnRes differs from `standard` by anything from {low} to {high} (first stage): which rate is shared decides what the gain is."
        )

    def table(self):
        head = "| mixer | rate, lr_scale | final validation loss [95 %] | minus standard [95 %] | p (Holm) |"
        lines = [head, "|---|---|---:|---:|---:|"]
        for m in ("standard", *MIXERS):
            mean, half = stats.interval(list(self.study.values(m).values()))
            lr, scale = self.chosen[m]
            where = rate_text(lr) + (f", {scale:g}" if m in MIXERS else "")
            cells = ["", ""]
            if m in MIXERS:
                p = self.study.row(m)["p_adjusted"]
                cells = [interval_text(self.gain[m].values()), p_text(p)]
            name = f"{MIXERS[m]} (`{m}`)" if m in MIXERS else "`standard`"
            lines.append(f"| {name} | {where} | {between(mean, mean - half, mean + half)} | {cells[0]} | {cells[1]} |")
        return "\n".join(lines)

    def first_stage(self):
        rates = sorted({at[0] for of in self.tried.values() for at in of})
        head = "| mixer | lr_scale | " + " | ".join(map(rate_text, rates)) + " |"
        lines = [head, "|---|---:|" + "---:|" * len(rates)]
        for m in ("standard", *MIXERS):
            for scale in sorted({at[1] for at in self.tried[m]}):
                cells = [self.cell(m, (lr, scale)) for lr in rates]
                lines.append(f"| `{m}` | {scale:g} | " + " | ".join(cells) + " |")
        return "\n".join(lines)

    def cell(self, mixer, at):
        if at not in self.tried[mixer]:
            return ""
        if self.diverged[mixer, at]:
            return f"{self.diverged[mixer, at]} diverged"
        mean, half = stats.interval(list(self.tried[mixer][at].values()))
        text = f"{mean:.3f} ±{half:.3f}"
        return f"**{text}**" if self.chosen[mixer] == at else text

    def n_choices(self):
        counts = {m: sum(1 for losses in self.tried[m].values() if losses) for m in ("standard", *MIXERS)}
        return "Values tried: " + ", ".join(f"`{m}` {n}" for m, n in counts.items()) + "."

    def edge_words(self):
        words = {"train.lr": "rate", "mixer.lr_scale": "lr_scale"}
        found = [f"`{m}` (the {edge} {words[key]} at its rate)" for m, (edge, key) in self.edges.items() if edge]
        if not found:
            return "No chosen value lies at an end of what was tried beside it."
        return f"At an end of what was tried, so that the best may lie beyond: {', '.join(found)}."

    def same_rate(self):
        """Full and block AttnRes against standard at every rate that both have tried."""
        rates = sorted(at[0] for at in self.tried["standard"])
        lines = ["| rate of both | " + " | ".join(map(rate_text, rates)) + " |", "|---|" + "---:|" * len(rates)]
        for m in MIXERS:
            cells = []
            for lr in rates:
                at = lr, 1.0
                pairs = self.apart(m, at, "standard", at) if at in self.tried[m] else []
                cells.append(interval_text(pairs, 3) if len(pairs) > 1 else "")
            lines.append(f"| `{m}` | " + " | ".join(cells) + " |")
        return "\n".join(lines)

    def expected_gain(self, mixer):
        mean, half = stats.interval(list(self.gain[mixer].values()))
        word = "Right" if mean + half <= -GAIN else "Wrong" if mean - half > -GAIN else "Not decided"
        return f"`{mixer}`: **{word}**, {with_interval(mean, half)}."

    def inside(self):
        mean, half = stats.interval(list(self.gain["highway"].values()))
        low, high = mean - half, mean + half
        word = "Right" if max(-low, high) < GAIN else "Wrong" if low > GAIN or high < -GAIN else "Not decided"
        return f"**{word}**, {with_interval(mean, half)}."

    def scaled(self, mixer):
        """(at its best rate with lr_scale 10) minus (with 1), by seed; [] if 10 was not tried."""
        ten, one = self.scale(mixer, 10.0), self.scale(mixer, 1.0)
        return self.apart(mixer, ten, mixer, one) if ten else []

    def hypotheses(self):
        mean, half = stats.interval(self.scaled("hyper"))
        helps = "Right" if mean + half < 0 else "Wrong" if mean - half > 0 else "Not decided"
        others = []
        for m in ("attnres", "block", "highway"):
            pairs = self.scaled(m)
            if not pairs:
                others.append(f"`{m}` is not tried (full AttnRes, tried first, hardly learned)")
                continue
            a, h = stats.interval(pairs)
            word = "right" if abs(a) + h < LITTLE else "**wrong**" if abs(a) - h > LITTLE else "not decided"
            others.append(f"`{m}` {with_interval(a, h, 3)}, {word}")
        return f"""\
1. Full and block AttnRes stay below `standard` by {GAIN} nats at least. {self.expected_gain("attnres")} {self.expected_gain("block")}
2. Highway, started as the standard network, stays within {GAIN} nats of it. {self.inside()}
3. A rate of the mixer's own parameters ten times larger helps HC. **{helps}**: {with_interval(mean, half)} at the best rate of each (seeds of the first stage).
4. It changes the others by less than {LITTLE}. {"; ".join(others)}."""

    def text(self):
        n = len(self.base)
        found = stats.smallest_effect(n, 0.05 / len(MIXERS)) * self.sd[0]
        return f"""\
# AttnRes with a learning rate of its own

{self.first_sentence()}

    scripts/study tuned     # trains, compares, draws, and writes this page: every number in it is computed by scripts/results_page.py

**Setting** (`experiments/tuned.toml`): 12 transformer blocks of width 64, context 128, bytes of Jane Austen, 1000 steps x 1024 tokens, AdamW, cosine. Blocks of block AttnRes: 3
sublayers. First stage: rate and `mixer.lr_scale` (a factor on the rate of the mixer's own parameters) of each mixer, by the mean of seeds {min(self.tried["standard"][self.chosen["standard"]])} to {max(self.tried["standard"][self.chosen["standard"]])}. Second stage, below: {n} other
seeds with what was chosen, paired. Losses are over the whole validation split. Trained by commit {self.study.answer["made_by"].split(";")[0]}.

{self.table()}

p: paired t test against `standard`, Holm over the four; an interval is of its one comparison. Pairs differ with a standard deviation of {between(*self.sd)} nats; the smallest of four differences that {n} seeds find four times in five is {found:.3f} nats.

![paired differences](forest.png)

## What the first stage found

Mean of five seeds ± 95 %; bold: chosen. Empty: not tried (`[[exclude]]` in the file: what could not win by the runs there were).

{self.first_stage()}

{self.edge_words()}

![loss over the learning rate](tuned.png)

Circles: chosen. Points of one rate stand side by side; ↑: above the panel.

Each mixer minus `standard` **at the same rate**, lr_scale 1, paired by the seeds of the first stage (explored, not corrected):

{self.same_rate()}

The grid was changed four times, before any reported seed. Its first 41 runs had put the best rate of `standard` at the upper end (8e-3) and that of full AttnRes near the lower one (2e-3), and with lr_scale
10 full AttnRes hardly learned: 1e-3, 16e-3 and lr_scale 0.1 came in, and what could not win went out. After 61 runs full AttnRes was best at 8e-3 with lr_scale 0.1: 0.03 and 0.3 came in beside it. After 140 runs block AttnRes was best
at the smallest lr_scale, 0.03, and Highway at the smallest rate, 4e-3: 0.01 and 2e-3 came in. After 170, Highway and HC were best at the
smaller of two lr_scale tried, 1, while AttnRes had had five: 0.1 and 0.3 came in for them too, at their best rates.
{self.n_choices()} What a larger choice gains by chance stays in the first stage: the seeds of the table above took no part in it.

## Hypotheses, written before the runs

{self.hypotheses()}

## What this does not say

One corpus, one size, {1024000 / self.study.row("standard")["params"]:.1f} tokens for each parameter; warm-up, decay of weights and the form of the schedule are those of `standard`'s recipe for all. The paper trains larger networks on far more tokens for each parameter.
What would decide it: the same file with `--scale gpu`.

![loss during training](loss_curves.png)

Files: `comparison.json` what `plumb compare --json` says, `tuned.csv` the points of the figure, `forest.csv` the differences by seed.
"""


def page(folder):
    return Page(folder).text()


TOP = 1.71  # nats: what lies above it is named at the edge, so that differences of 0.02 can be seen
# lr_scale: marker, dash, and a factor on the rate that keeps points apart.
SCALES = {
    0.01: ("D", "", 0.74),
    0.03: ("<", "", 0.80),
    0.1: ("v", ":", 0.87),
    0.3: (">", "", 0.93),
    1.0: ("o", "-", 1.0),
    10.0: ("^", "--", 1.07),
}


def draw(folder):
    """tuned.svg, .png, .csv: loss of the first stage over the rate, a panel a mixer."""
    found = Page(folder)
    style.use()
    fig, panels = style.plt.subplots(1, len(MIXERS), figsize=(style.WIDTH, 3.0), sharey=True)
    rows = []
    for m, of in found.tried.items():
        rows += [(m, *at, seed, x) for at, losses in of.items() for seed, x in losses.items()]
    for ax, m in zip(panels, MIXERS):
        draw_response(ax, found, "standard", {1.0: ("s", "-", 1.0)})
        draw_response(ax, found, m, SCALES)
        ax.set_title(MIXERS[m], fontsize=8, color=LOOKS[m].color)
        ax.set_xscale("log")
        ax.set_xlim(0.8e-3, 20e-3)
        ax.set_xticks([1e-3, 2e-3, 4e-3, 8e-3, 16e-3], ["1", "2", "4", "8", "16"])
        ax.minorticks_off()
        ax.set_xlabel("rate / 1e-3")
    lowest = min(found.mean(m, at) for m, of in found.tried.items() for at in of if of[at])
    panels[0].set_ylim(lowest - 0.03, TOP)
    panels[0].set_ylabel("validation loss (nats per byte)")
    marks = [("standard", "s", "-", LOOKS["standard"].color)]
    marks += [(f"lr_scale {scale:g}", marker, dash, "0.4") for scale, (marker, dash, _) in SCALES.items()]
    lines = [
        style.plt.Line2D([], [], marker=marker, ms=4, lw=1.2, ls=dash, color=color, label=label)
        for label, marker, dash, color in marks
    ]
    fig.get_layout_engine().set(rect=(0, 0.07, 1, 0.93))  # room for the legend
    fig.legend(handles=lines, ncols=len(lines), fontsize=7, loc="lower center", columnspacing=1.2)
    style.save(fig, found.study.folder, "tuned")
    style.write_csv(found.study.folder / "tuned.csv", ("mixer", "lr", "lr_scale", "seed", "loss_nats"), rows)


def draw_response(ax, found, mixer, scales):
    color = LOOKS[mixer].color
    for scale, (marker, dash, aside) in scales.items():
        at = sorted(a for a in found.tried[mixer] if a[1] == scale and found.tried[mixer][a])
        for a in at:
            if found.mean(mixer, a) > TOP:
                text = f"{found.mean(mixer, a):.2f} ↑"
                ax.annotate(text, (aside * a[0], TOP), ha="center", va="top", fontsize=6, color=color)
        at = [a for a in at if found.mean(mixer, a) <= TOP]
        if not at:
            continue
        means, halves = zip(*(stats.interval(list(found.tried[mixer][a].values())) for a in at))
        rates = [aside * a[0] for a in at]
        ax.errorbar(rates, means, yerr=halves, marker=marker, ms=3.5, lw=1.2, ls=dash, color=color)
        if found.chosen[mixer] in at:
            best = at.index(found.chosen[mixer])
            ax.plot(rates[best], means[best], "o", ms=9, mfc="none", mew=1.2, color=color)
