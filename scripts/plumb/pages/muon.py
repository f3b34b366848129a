"""The page of results/muon: Muon beside AdamW, each at its best rate, with and without block AttnRes."""

import math

import numpy as np

from .. import stats
from ..wording import mean_half, p_text, with_interval
from . import muon_figures
from .study import claim
from .sweep_study import SweepStudy, between, interval_text, standard_deviation

MIXERS = {"standard": "`standard`", "block": "block AttnRes"}
OPTIMIZERS = {"adamw": ("AdamW", "", "train.lr"), "muon": ("Muon", "-muon", "train.muon_lr")}
GAIN = 0.03  # H1, nats
FLAT, WINDOW = 0.02, 4  # H3: nats above the best, over this factor of the rate
ALIKE = 0.2  # H4: of the update / weight ratio by depth
FIRST = 3  # H4: the sublayer from which output rms is looked at


def label(mixer, optimizer):
    return mixer + OPTIMIZERS[optimizer][1]


def rate_text(rate):
    return f"{1000 * rate:g}e-3"


def word(low, high, right, wrong):
    """Right, Wrong or Not decided of an interval, from two predicates of its ends."""
    return "Right" if right(low, high) else "Wrong" if wrong(low, high) else "Not decided"


def ratio_text(logs, digits=2):
    """`1.30x [1.10, 1.54]`: geometric mean with the interval of the logarithm."""
    mean, half = stats.interval(logs)
    x, low, high = (f"{math.exp(v):.{digits}f}" for v in (mean, mean - half, mean + half))
    return f"{x}× [{low}, {high}]"


def spread(values):
    return float(values.max() / values.min())


def unlike(values):
    """How far the farthest is from their mean, relative to it."""
    return float(np.abs(values / values.mean() - 1).max())


class Page:
    def __init__(self, folder):
        self.study = SweepStudy(folder)
        self.networks = {
            name.strip("`"): {called: label(m, o) for o, (called, *_) in OPTIMIZERS.items()}
            for m, name in MIXERS.items()
        }
        self.labels = [label(m, o) for m in MIXERS for o in OPTIMIZERS]
        # {label: {rate: {seed: loss}}} of the first stage, and the rate that it chose
        self.tried, self.chosen, self.edges, self.diverged = {}, {}, {}, {}
        for r in self.study.answer["tuning"]:
            of = r["variant"]
            rate = r["values"][OPTIMIZERS["muon" if of.endswith("-muon") else "adamw"][2]]
            self.tried.setdefault(of, {})[rate] = dict(zip(r["seeds"], r["losses"]))
            self.diverged[of, rate] = r["n_diverged"]
            if r["chosen"]:
                self.chosen[of], self.edges[of] = rate, r["edge"]
        claim(set(self.chosen) == set(self.labels), "a rate is chosen for all four")
        self.losses = {k: self.study.values(k) for k in self.labels}
        self.seeds = sorted(self.losses["standard"])
        claim(all(sorted(v) == self.seeds for v in self.losses.values()), "all four have the same seeds")
        self.gains = {
            "H1": self.apart("standard-muon", "standard"),
            "H2": self.apart("block-muon", "standard-muon"),
        }
        tests = stats.holm([stats.t_test(g) for g in self.gains.values()])
        self.p = dict(zip(self.gains, tests))

    # ---- losses ----------------------------------------------------------------------------------

    def apart(self, a, b):
        """Reported losses of label a minus those of b, by seed."""
        return [self.losses[a][s] - self.losses[b][s] for s in self.seeds]

    def mean(self, of, rate):
        return float(np.mean(list(self.tried[of][rate].values())))

    def above_best(self, of, rate):
        """Losses at this rate minus those at the chosen one, by the seeds of the first stage."""
        best = self.tried[of][self.chosen[of]]
        return [x - best[s] for s, x in self.tried[of][rate].items() if s in best]

    def first_sentence(self):
        one = interval_text(self.gains["H1"], 3)
        adamw, muon = self.apart("block", "standard"), self.gains["H2"]
        return (
            f"Each at its best rate, Muon differs from AdamW by {one} nats for `standard`, and by {interval_text(self.apart('block-muon', 'block'), 3)} for block "
            f"AttnRes; what block AttnRes changes is {interval_text(adamw, 3)} under AdamW and {interval_text(muon, 3)} under Muon."
        )

    def table(self):
        lines = ["| network | optimizer | rate | final validation loss [95 %] | minus AdamW [95 %] | minus `standard` [95 %] |"]
        lines.append("|---|---|---:|---:|---:|---:|")
        for m, name in MIXERS.items():
            for o, (called, *_) in OPTIMIZERS.items():
                of = label(m, o)
                mean, half = stats.interval(list(self.losses[of].values()))
                cells = [name, called, rate_text(self.chosen[of]), between(mean, mean - half, mean + half)]
                cells.append(interval_text(self.apart(of, label(m, "adamw"))) if o == "muon" else "")
                cells.append(interval_text(self.apart(of, label("standard", o))) if m != "standard" else "")
                lines.append("| " + " | ".join(cells) + " |")
        return "\n".join(lines)

    def first_stage(self):
        rates = sorted({rate for of in self.tried.values() for rate in of})
        lines = ["| network | optimizer | " + " | ".join(map(rate_text, rates)) + " |", "|---|---|" + "---:|" * len(rates)]
        for m, name in MIXERS.items():
            for o, (called, *_) in OPTIMIZERS.items():
                cells = [self.cell(label(m, o), rate) for rate in rates]
                lines.append(f"| {name} | {called} | " + " | ".join(cells) + " |")
        return "\n".join(lines)

    def cell(self, of, rate):
        if rate not in self.tried[of]:
            return ""
        if self.diverged[of, rate]:
            return f"{self.diverged[of, rate]} diverged"
        text = mean_half(self.tried[of][rate].values())
        return f"**{text}**" if self.chosen[of] == rate else text

    def edge_words(self):
        found = [f"`{of}` ({edge} rate)" for of, edge in self.edges.items() if edge]
        if not found:
            return "No chosen rate lies at an end of what was tried."
        return f"At an end of what was tried, so that the best may lie beyond: {', '.join(found)}."

    # ---- H3 --------------------------------------------------------------------------------------

    def flat_over(self, of):
        """The largest factor of the rate, around the chosen one, over which the mean loss is within
        FLAT of the best; 1 if neither neighbour is.
        """
        rates = sorted(self.tried[of])
        near = {r: not self.diverged[of, r] and np.mean(self.above_best(of, r)) <= FLAT for r in rates}
        low = high = rates.index(self.chosen[of])
        while low > 0 and near[rates[low - 1]]:
            low -= 1
        while high + 1 < len(rates) and near[rates[high + 1]]:
            high += 1
        return rates[high] / rates[low]

    def response(self):
        factors = [1 / 4, 1 / 2, 2, 4]
        head = ["¼", "½", "2", "4"]
        lines = ["| network | optimizer | best rate | " + " | ".join(f"× {f}" for f in head) + f" | within {FLAT} over a factor of |"]
        lines.append("|---|---|---:|" + "---:|" * 5)
        for m, name in MIXERS.items():
            for o, (called, *_) in OPTIMIZERS.items():
                of = label(m, o)
                cells = []
                for factor in factors:
                    rate = next((r for r in self.tried[of] if math.isclose(r, factor * self.chosen[of])), None)
                    dead = rate is not None and self.diverged[of, rate]
                    pairs = [] if rate is None or dead else self.above_best(of, rate)
                    cells.append("diverged" if dead else interval_text(pairs, 3) if pairs else "")
                cells.append(f"{self.flat_over(of):.3g}")
                lines.append(f"| {name} | {called} | {rate_text(self.chosen[of])} | " + " | ".join(cells) + " |")
        return "\n".join(lines)

    def flatness(self):
        flat = {m: self.flat_over(label(m, "muon")) for m in MIXERS}
        said = ", ".join(f"a factor of {x:.3g} for {MIXERS[m]}" for m, x in flat.items())
        before = ", ".join(f"{self.flat_over(m):.3g} for {MIXERS[m]}" for m in MIXERS)
        right = "Right" if min(flat.values()) >= WINDOW * (1 - 1e-9) else "Wrong"
        rates = [self.chosen[label(m, "muon")] for m in MIXERS]
        same = "Right" if max(rates) / min(rates) <= 2 * (1 + 1e-9) else "Wrong"
        return (
            f"With Muon within {FLAT} nats of the best over a factor of {WINDOW} of the rate. **{right}**: {said} (with AdamW {before}; means of the first stage). "
            f"Both want the same rate, to a factor of 2. **{same}**: {rate_text(rates[0])} and {rate_text(rates[1])}."
        )

    # ---- H4 --------------------------------------------------------------------------------------

    def figure(self, file, of, column, figure):
        """figure(values at sublayers 1..L) of each seed."""
        found = self.study.by_seed(file, of, column, lambda p: figure(p[1:-1]))
        claim(sorted(found) == self.seeds, f"{file}.csv has the seeds of {of}")
        claim(all(map(math.isfinite, found.values())), f"{column} of {of} has a number at every depth")
        return [found[s] for s in self.seeds]

    def measures(self):
        """[(words, {label: [number of each seed]}, whether a ratio)] of H4."""
        kinds = (("attention", 0), ("MLP", 1))
        wanted = [
            (f"largest / smallest rms of v_l, sublayers {FIRST} on", "magnitudes", "out_rms", lambda v: spread(v[FIRST - 1 :]), True),
            *(
                (f"update / weight of {name}: farthest from their mean", "gradients", "update_ratio", lambda v, k=k: unlike(v[k::2]), False)
                for name, k in kinds
            ),
            ("log-slope of dLoss/dv, per sublayer", "gradients", "dout_rms", stats.log_slope, False),
            ("write share, last third of the sublayers / first third", "shares", "write_share", thirds, True),
        ]
        return [
            (words, {of: self.figure(file, of, column, f) for of in self.labels}, ratio)
            for words, file, column, f, ratio in wanted
        ]

    def by_depth(self):
        lines = ["| by depth, last probe | network | AdamW | Muon | Muon against AdamW [95 %] |", "|---|---|---:|---:|---:|"]
        for words, found, ratio in self.measures():
            for m, name in MIXERS.items():
                a, b = (np.array(found[label(m, o)]) for o in OPTIMIZERS)
                if ratio:
                    claim((a > 0).all() and (b > 0).all(), f"{words} is positive")
                    a, b = np.log(a), np.log(b)
                    cells = [ratio_text(a), ratio_text(b), ratio_text(b - a)]
                else:
                    cells = [mean_half(a), mean_half(b), interval_text(b - a, 3)]
                lines.append(f"| {words} | {name} | " + " | ".join(cells) + " |")
        return "\n".join(lines)

    def depth_words(self):
        rms, attention, mlp, slope, share = (found for _, found, _ in self.measures())
        evener = self.fewer({m: np.log(rms[f"{m}-muon"]) - np.log(rms[m]) for m in MIXERS})
        ratios = [x for of in (attention, mlp) for m in MIXERS for x in (np.mean(of[f"{m}-muon"]),)]
        alike = "Right" if max(ratios) <= ALIKE else "Wrong"
        nearer = self.fewer({m: np.abs(slope[f"{m}-muon"]) - np.abs(slope[m]) for m in MIXERS})
        falls = "Right" if all(np.mean(np.log(share[of])) < 0 for of in self.labels) else "Wrong"
        return f"""\
   * The rms of v_l varies less by depth under Muon. {evener}
   * The update / weight ratio of one kind is the same at all depths to {100 * ALIKE:.0f} %. **{alike}**: under Muon the farthest is {100 * min(ratios):.0f} to {100 * max(ratios):.0f} % from the mean.
   * The log-slope of dLoss/dv is nearer to zero. {nearer}
   * Write shares fall by depth under both. **{falls}** (table below)."""

    @staticmethod
    def fewer(differences):
        """A verdict each on differences that were to be below 0."""
        said = []
        for m, d in differences.items():
            mean, half = stats.interval(d)
            said.append(f"{MIXERS[m]}: **{word(mean - half, mean + half, lambda a, b: b < 0, lambda a, b: a > 0)}**")
        return "; ".join(said) + "."

    # ---- the page --------------------------------------------------------------------------------

    def hypotheses(self):
        mean, half = stats.interval(self.gains["H1"])
        first = word(mean - half, mean + half, lambda a, b: b <= -GAIN, lambda a, b: a > -GAIN)
        mean, half = stats.interval(self.gains["H2"])
        below = word(mean - half, mean + half, lambda a, b: b < 0, lambda a, b: a > 0)
        less = np.array(self.gains["H2"]) - self.apart("block", "standard")
        m, h = stats.interval(less)
        smaller = word(m - h, m + h, lambda a, b: a > 0, lambda a, b: b < 0)
        return f"""\
1. At its best rate Muon is below AdamW at its own for `standard`, by {GAIN} nats at least. **{first}**, {interval_text(self.gains["H1"])}, p {p_text(self.p["H1"])}.
2. Block AttnRes stays below `standard` under Muon. **{below}**, {with_interval(mean, half)}, p {p_text(self.p["H2"])}. But by less than under AdamW. **{smaller}**: what it changes under Muon minus what it changes under AdamW is {with_interval(m, h)}.
3. {self.flatness()}
4. Norms by depth (described, not tested; verdicts are of the paired 95 % intervals):
{self.depth_words()}

p: paired t test, Holm over the two that were declared."""

    def text(self):
        n = len(self.seeds)
        sd = standard_deviation(list(self.gains.values()))
        found = stats.smallest_effect(n, 0.05 / 2) * sd[0]
        row = self.study.row("standard")
        tuning = sorted({s for of in self.tried.values() for losses in of.values() for s in losses})
        more = self.study.row("standard-muon")["flops_change"]
        return f"""\
# Muon beside AdamW, with and without block AttnRes

{self.first_sentence()}

    scripts/study muon     # trains, compares, draws, and writes this page: every number in it is computed by scripts/results_page.py

**Setting** (`experiments/muon.toml`, hypotheses written before any run): 12 transformer blocks of width 64, context 128, bytes of Jane Austen, {row["tokens"] / 1024:.0f} steps x 1024 tokens, cosine. Muon moves the weight
matrices of the body at a rate of its own; embedding, gains and queries stay on AdamW at 8e-3, which suits both networks under AdamW (`results/tuned`). Block AttnRes: blocks of 3 sublayers, queries at 0.03 of the rate.
First stage: rate of each, by the mean of seeds {tuning[0]} to {tuning[-1]}. Second stage, below: {n} other seeds with what was chosen, paired. Matched: tokens, data order, initial values, batch,
the schedule's shape. Not matched: FLOPs (Muon {100 * more:+.0f} % at this batch), time. Losses are over the whole validation split. Trained by commit {self.study.answer["made_by"].split(";")[0]}.

{self.table()}

Pairs differ with a standard deviation of {between(*sd)} nats; the smallest of two differences that {n} seeds find four times in five is {found:.3f} nats.

![loss during training](loss_curves.png)

## Hypotheses, written before the runs

{self.hypotheses()}

## The response to the rate

![loss over the rate](muon.png)

Circles: chosen. Mean of {len(tuning)} seeds ± 95 %; the rate is AdamW's for all weights or Muon's for the matrices.

{self.first_stage()}

{self.edge_words()} Above the best, paired by the seeds of the first stage (explored, not corrected; empty: not tried):

{self.response()}

## Norms by depth

Mean and 95 % interval over {n} seeds, at the end of training. Raw sizes are compared between optimizers of one network only: a mixer may keep its books in other units.

![norms by depth](norms.png)

{self.by_depth()}

Ratios are geometric means with the interval of the logarithm; Muon against AdamW is paired by seed, a ratio where both are ratios, else a difference.

![what each read is made of](shares.png)

## What this does not say

One corpus, one size, {row["tokens"] / row["params"]:.1f} tokens for each parameter; the rate of what Muon leaves to AdamW, warm-up, momentum and decay of weights were not tuned. A larger batch makes Muon's products a smaller part of a step.
What would decide it: the same file with `--scale gpu`.

Files: `comparison.json` what `plumb compare --json` says, `muon.csv` the points of the first stage, `norms.csv`, `gradients.csv`, `magnitudes.csv`, `shares.csv` the profiles by seed.
"""


def thirds(shares):
    n = len(shares) // 3
    return float(shares[-n:].mean() / shares[:n].mean())


def page(folder):
    return Page(folder).text()


def draw(folder):
    muon_figures.draw(Page(folder))
