"""The page of results/dilution, sentence by sentence from its CSV files."""

import math

import numpy as np

from .. import stats
from .dilution_e0 import E0
from .study import Study, claim, families
from ..wording import count_word, mean_half, p_text, power_of_ten, signed, with_interval

STANDARD = "standard"
FULL, BLOCK = "attnres", "attnres_block"
UNIFORM, DEPTH = "highway gate_bias=uniform", "highway gate_bias=depth"
PRIMARY = (FULL, BLOCK)
SECONDARY = (UNIFORM, DEPTH, "hyper", "denseformer", "mhc")
MIDDLE = slice(7, 23)  # sublayers of transformer blocks 4 to 11


def middle_mean(profile):
    return np.nanmean(profile[MIDDLE])


def sublayers(profile):
    return profile[1:-1]


class Page:
    def __init__(self, folder):
        self.study = Study(folder)
        here = {r["label"] for r in self.study.rows("results") if int(r["n_seeds"]) > 1}
        claim({STANDARD, *PRIMARY} <= here, "standard and both AttnRes have two seeds or more")
        self.secondary = tuple(k for k in SECONDARY if k in here)
        self.compared = PRIMARY + self.secondary
        self.e0 = E0(self.study.folder)
        self.tests = families(self.study, (PRIMARY, SECONDARY))
        self.n = int(self.study.result(STANDARD)["n_seeds"])
        self.params = float(self.study.result(STANDARD)["params"])

    # ---- numbers ---------------------------------------------------------------------------------

    def figure(self, file, label, column, figure):
        return self.study.by_seed(file, label, column, figure)

    def against_standard(self, file, label, column, figure):
        """(mean, half) of the difference to standard, paired by seed."""
        mine, base = (self.figure(file, k, column, figure) for k in (label, STANDARD))
        return stats.interval([mine[s] - base[s] for s in sorted(set(mine) & set(base))])

    def ratio_to_standard(self, file, label, column, figure):
        """(ratio of means as a factor, low, high): interval of the paired log ratio."""
        mine, base = (self.figure(file, k, column, figure) for k in (label, STANDARD))
        shared = sorted(set(mine) & set(base))
        claim(all(min(mine[s], base[s]) > 0 for s in shared), f"{column} of {label} is positive")
        logs = [math.log(mine[s] / base[s]) for s in shared]
        mean, half = stats.interval(logs)
        return tuple(math.exp(x) for x in (mean, mean - half, mean + half))

    def verdict(self, label):
        mean, _, _, _, p = self.tests[label]
        if not p < 0.05:
            return "not resolved"
        return "below" if mean < 0 else "above"

    # ---- sections --------------------------------------------------------------------------------

    def first_sentence(self):
        gap, others = self.e0.loss_gap(), max(self.e0.measures_gap().values())
        factors = self.e0.raw_factors().values()
        low, high = min(factors), max(factors)
        ratios = [self.ratio_to_standard("shares", k, "write_share", middle_mean) for k in PRIMARY]
        shares = " and ".join(f"{r:.2f}" for r, _, _ in ratios)
        means = " and ".join(signed(self.tests[k][0], 3) for k in PRIMARY)
        return (
            "Zero-query AttnRes is the standard network written down differently, and its raw "
            "magnitudes are bookkeeping: given the weights that `standard` has at any of its evaluations, AttnRes with frozen zero queries has "
            f"its loss to {power_of_ten(gap)} nats and every comparable measure to {power_of_ten(others)} of its largest value, "
            f"while |v|/|h| of the last sublayer reads {low:.1f} to {high:.1f} times as large; trained, `attnres` and "
            f"`attnres_block` end {means} nats from `standard`, and the write share of their middle "
            f"sublayers is {shares} times that of `standard`."
        )

    def setting(self):
        spread = [float(self.study.result(k)["params"]) / self.params - 1 for k in self.compared]
        return f"""\
    scripts/dilution     # trains, draws, and writes this page: every number in it is computed by scripts/results_page.py

**Setting** (`experiments/dilution.toml`, hypotheses written before the run): 12 transformer blocks = 24 sublayers, width 128, 4 heads, context 128, bytes of
Jane Austen, 1000 steps x 1024 tokens, AdamW, cosine from 1e-3, no dropout, {count_word(self.n)}. Losses are over the **whole validation split**. **Matched:** tokens, data order,
initial values of all shared parameters (differences are paired by seed), learning rate. **Not matched:** parameters (up to {100 * max(spread):+.1f} %), FLOPs, time.
**One learning rate for all, chosen for `standard`** (seed 100: 1.447 at 1e-3, 1.452 at 2e-3, 1.462 at 4e-3; seed 1: 1.4476 at 1e-3, 1.4516 at 6e-4): the others may prefer another.
"""

    def table(self):
        head = "| variant | parameters | final val loss (nats/byte) | minus standard [95 %] | p (Holm) |"
        head += " write share, blocks 4-11 | effective sources, output | slope of ln rms dLoss/dv | CV |"
        lines = [head, "|---|" + "---:|" * 8]
        for label in (STANDARD, *self.compared):
            r = self.study.result(label)
            loss = f"{float(r['final_val_loss']):.4f} ±{float(r['final_val_loss_half_95']):.4f}"
            cells = [f"`{label}`", f"{float(r['params']):,.0f}", loss, "", ""]
            if label != STANDARD:
                mean, half, _, _, p = self.tests[label]
                cells[3:] = [with_interval(mean, half), p_text(p)]
            share = self.figure("shares", label, "write_share", middle_mean)
            sources = self.figure("shares", label, "effective_sources", lambda p: p[-1])
            slope = self.figure("gradients", label, "dout_rms", lambda p: stats.log_slope(p[1:-1]))
            spread = self.figure("gradients", label, "dout_rms", lambda p: stats.variation(p[1:-1]))
            cells += [mean_half(share.values()), mean_half(sources.values(), 1)]
            cells += [mean_half(slope.values()), mean_half(spread.values(), 2)]
            lines.append("| " + " | ".join(cells) + " |")
        first, second = (stats.smallest_effect(self.n, 0.05 / k) for k in (len(PRIMARY), len(SECONDARY)))
        sd = {k: np.std(list(self.study.differences(k).values()), ddof=1) for k in self.compared}
        return "\n".join(lines) + f"""

± and [ ]: 95 % t intervals over seeds. Holm's correction within two families declared beforehand: the two AttnRes contrasts, and the other {len(SECONDARY)}. {self.unfinished()}Standard deviations of a paired
difference are {min(sd.values()):.4f} to {max(sd.values()):.4f} nats; {count_word(self.n)} find with 80 % power an effect of {first:.1f} of them in the first family and of {second:.1f} in the second.
Write share: what a sublayer's output is of the next read, `<M v, h> / <h, h>`. Effective sources: 1 / sum of squared shares. CV: standard deviation over depth / mean.

![paired differences](forest.png)
"""

    def loss(self):
        words = {"below": "is below", "above": "is above", "not resolved": "is not resolved from"}

        def one(label):
            mean, half, n, _, p = self.tests[label]
            return (
                f"`{label}` {words[self.verdict(label)]} `standard`: {with_interval(mean, half)}, "
                f"p {p_text(p)}, n {n}"
            )  # fmt: skip

        pair = self.study.differences(FULL), self.study.differences(BLOCK)
        between = stats.interval([pair[0][s] - pair[1][s] for s in pair[0] if s in pair[1]])
        return f"""\
## Loss

**Primary.** {one(FULL)}; {one(BLOCK)}. Full minus block: {with_interval(*between)} (not a declared contrast).

**Secondary.** {"; ".join(one(k) for k in self.secondary)}. {self.starts()}

![loss](loss_curves.png)
"""

    def starts(self):
        """A sentence on the two starts of highway, "" unless both are here."""
        if not {UNIFORM, DEPTH} <= set(self.secondary):
            return ""
        a, b = self.study.differences(UNIFORM), self.study.differences(DEPTH)
        mean, half = stats.interval([a[s] - b[s] for s in a if s in b])
        words = f"The two starts of `highway` differ by {with_interval(mean, half)} (uniform minus depth)."
        return words + (
            " The start makes that difference, not the mixer." if abs(mean) > half else ""
        )

    def unfinished(self):
        """What of the study is not here."""
        missing = [k for k in SECONDARY if k not in self.secondary]
        counts = {k: len(self.study.differences(k)) for k in self.compared}
        few = [f"`{k}` {n}" for k, n in counts.items() if n != self.n]
        words = f"Not here: {', '.join(f'`{k}`' for k in missing)}. " if missing else ""
        return words + (f"Pairs where they are not {self.n}: {', '.join(few)}. " if few else "")

    def dilution(self):
        write = {
            k: self.ratio_to_standard("shares", k, "write_share", middle_mean) for k in PRIMARY
        }
        ratios = "; ".join(
            f"`{k}` {r:.2f} [{low:.2f}, {high:.2f}]" for k, (r, low, high) in write.items()
        )
        relieved = all(low > 1.5 for _, low, _ in write.values())
        held = all(high < 1.5 for _, _, high in write.values())
        word = (
            "above 1.5: S3 is wrong, trained AttnRes writes more of what is read next"
            if relieved
            else "below 1.5: S3 holds" if held else "not on one side of 1.5: S3 is not resolved"
        )
        early = self.study.profiles("shares", STANDARD, "write_share").values()
        first, middle = (np.mean([np.mean(p[s]) for p in early]) for s in (slice(1, 5), MIDDLE))
        last = np.mean([p[-2] for p in early])
        angle = {
            k: self.against_standard("reads", k, "angular_distance", middle_mean) for k in PRIMARY
        }
        base = mean_half(self.figure("reads", STANDARD, "angular_distance", middle_mean).values())
        angles = "; ".join(f"`{k}` {with_interval(*v, 3)}" for k, v in angle.items())
        larger = all(mean - half > 0 for mean, half in angle.values())
        return f"""\
## Dilution, counted alike

In `standard` a sublayer's output is {first:.2f} of the next read in blocks 1 and 2, {middle:.2f} in blocks 4 to 11, and {last:.2f} at the last sublayer. Write share of blocks 4 to 11 over `standard`'s, paired by seed:
{ratios}; {word}.

Consecutive reads turn by {base} (angle / pi, blocks 4 to 11) in `standard`; minus that: {angles}. {"S4 holds: both turn more." if larger else "S4 is not resolved for both."}

![shares](shares.png)
![reads](reads.png)
![shares of every source](matrix.png)
![write share over training](write_share_over_training.png)
"""

    def gradients(self):
        slope = lambda p: stats.log_slope(p[1:-1])  # noqa: E731
        spread = lambda p: stats.variation(p[1:-1])  # noqa: E731
        base = mean_half(self.figure("gradients", STANDARD, "dout_rms", slope).values())
        change = {k: self.against_standard("gradients", k, "dout_rms", slope) for k in PRIMARY}
        even = {k: self.against_standard("gradients", k, "dout_rms", spread) for k in PRIMARY}
        slopes = "; ".join(f"`{k}` {with_interval(*v, 3)}" for k, v in change.items())
        spreads = "; ".join(f"`{k}` {with_interval(*v, 2)}" for k, v in even.items())
        nearer = all(mean - half > 0 for mean, half in change.values())
        smaller = any(mean + half < 0 for mean, half in even.values())
        held = "hold" if nearer and not smaller else "do not both hold"
        return f"""\
## Gradients

The slope of ln rms dLoss/dv is {base} a sublayer in `standard`. Slope minus `standard`'s: {slopes}. Coefficient of variation over depth minus `standard`'s: {spreads}. The two parts of S5 {held}.
Under PreNorm and Adam the size of an activation gradient says little about what is learned; weights are in the lower panels.

![gradients by depth](gradients.png)
"""

    def end(self):
        mhc = (
            " With R started at I and\nthis rate M of `mhc` stays near the standard one for 1000 steps, so it is hardly tested."
            if "mhc" in self.secondary
            else ""
        )
        return f"""\
## What this does not show

One size (2.4 M parameters), 0.4 tokens a parameter, one corpus, one learning rate tuned for the baseline; mixers whose parameters need a larger rate (`mixer.lr_scale`) are at a disadvantage.{mhc} Whether differences of this kind last at more tokens or larger sizes is open.
Below, shapes beside the paper's Fig. 5: its magnitudes are bookkeeping (E0), its model has 48 B parameters. `magnitudes.png` has the raw magnitudes of each mixer, to be read one panel at a time.

![beside the paper](reference.png)

## Files

Every figure as SVG and PNG with the CSV behind it; `forest.csv` the paired differences by seed, `results.csv` the table of all variants, `twins/` and `rounding/` what E0 says.
"""

    def text(self):
        title = "# PreNorm dilution, counted alike"
        sections = (
            self.setting,
            self.table,
            self.e0.section,
            self.loss,
            self.dilution,
            self.gradients,
            self.end,
        )
        return "\n".join(
            [title, "", self.first_sentence(), "", *(section() for section in sections)]
        )


def page(folder):
    return Page(folder).text()
