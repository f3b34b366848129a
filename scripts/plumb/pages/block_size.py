"""The page of results/block_size: block AttnRes by the size of its blocks (Fig. 6 of the paper)."""

import numpy as np

from .. import stats
from ..figures import style
from ..wording import p_text, signed, with_interval
from .study import claim
from .sweep_study import SweepStudy, between, interval_text, standard_deviation

SIZES = (1, 2, 4, 8, 16, 32)
# Fig. 6 of arXiv:2603.15031, read from the page: validation loss by block size, and its baseline.
PAPER = {1: 1.737, 2: 1.746, 4: 1.746, 8: 1.748, 16: 1.753, 32: 1.757}
PAPER_BASELINE = 1.766


def label(size):
    return f"block block_size={size}"


class Page:
    def __init__(self, folder):
        self.study = SweepStudy(folder)
        self.base = self.study.values("standard")
        self.gain = {s: self.study.differences(label(s)) for s in SIZES}
        self.seeds = sorted(set(self.base).intersection(*self.gain.values()))
        claim(len(self.seeds) == 8, "standard and every block size have the same eight seeds")
        self.p = {s: self.study.row(label(s))["p_adjusted"] for s in SIZES}
        self.table = np.array([[self.gain[s][k] for s in SIZES] for k in self.seeds])  # seeds x sizes
        self.sd = standard_deviation(list(self.table.T))
        # One slope a seed: nats for each doubling of the block.
        self.slopes = [np.polyfit(np.log2(SIZES), row, 1)[0] for row in self.table]
        self.range = self.table[:, -1] - self.table[:, 0]

    def resolved(self, size):
        return self.p[size] < 0.05 and np.mean(list(self.gain[size].values())) < 0

    def first_sentence(self):
        better = [s for s in SIZES if self.resolved(s)]
        slope, half = stats.interval(self.slopes)
        trend = (
            "the gain falls as blocks grow"
            if slope - half > 0
            else "the gain rises with the block" if slope + half < 0 else "no trend over block sizes is resolved"
        )
        if len(better) == len(SIZES):
            who = "Block AttnRes beats `standard` at every block size"
        elif better:
            who = f"Block AttnRes beats `standard` at block sizes {', '.join(map(str, better))}"
        else:
            who = "At no block size does block AttnRes beat `standard` beyond the noise of eight seeds"
        low, high = (f(np.mean(self.table, axis=0)) for f in (np.min, np.max))
        return (
            f"{who} ({signed(low, 3)} to {signed(high, 3)} nats); {trend}: {with_interval(slope, half)} nats a doubling, "
            f"{interval_text(self.range, 3)} from blocks of 1 to one block of 32."
        )

    def rows(self):
        head = "| block size | sources at the output | final validation loss [95 %] | minus standard [95 %] | p (Holm) | next size minus this | paper, minus its baseline |"
        lines = [head, "|---|" + "---:|" * 6]
        mean, half = stats.interval(list(self.base.values()))
        lines.append(f"| `standard` | 1 | {between(mean, mean - half, mean + half)} | | | | |")
        for i, s in enumerate(SIZES):
            mean, half = stats.interval(list(self.study.values(label(s)).values()))
            after = interval_text(self.table[:, i + 1] - self.table[:, i]) if s < SIZES[-1] else ""
            lines.append(
                f"| {s} | {1 + 32 // s} | {between(mean, mean - half, mean + half)} | {interval_text(self.gain[s].values())} "
                f"| {p_text(self.p[s])} | {after} | {signed(PAPER[s] - PAPER_BASELINE, 3)} |"
            )
        return "\n".join(lines)

    def hypotheses(self):
        small = [s for s in SIZES if s <= 8]
        beaten = [s for s in small if self.resolved(s)]
        first = (
            "**Right**: all four are below `standard`."
            if beaten == small
            else f"**{'Partly right' if beaten else 'Not confirmed'}**: resolved for {', '.join(map(str, beaten)) or 'none'} of 1, 2, 4, 8."
        )
        slope, half = stats.interval(self.slopes)
        span, span_half = stats.interval(self.range)
        if slope - half > 0:
            second = "**Right**: the slope is above 0."
        elif slope + half < 0:
            second = "**Wrong**: it rises."
        else:
            second = "**Not resolved.**"
        inside = span - span_half <= 0.02 <= span + span_half
        second += f" The range is {with_interval(span, span_half)}; 0.02 {'lies in it' if inside else 'does not'}."
        steps = {
            (a, b): stats.t_test(self.table[:, i + 1] - self.table[:, i])
            for i, (a, b) in enumerate(zip(SIZES, SIZES[1:]))
        }
        adjusted = dict(zip(steps, stats.holm(list(steps.values()))))
        apart = [f"{a} and {b} (p {p_text(p)})" for (a, b), p in adjusted.items() if p < 0.05]
        third = (
            f"**Wrong** for {', '.join(apart)} (Holm over the five steps)."
            if apart
            else "**Right**: none of the five steps is resolved (Holm)."
        )
        last, last_half = stats.interval(list(self.gain[32].values()))
        fourth = (
            "**Wrong**" if last + last_half < -0.005 else "**Right**" if last - last_half > -0.01 else "**Not decided**"
        )
        return f"""\
1. Every block size up to 8 beats `standard`. {first}
2. The gain falls with the block size, over the whole range by about 0.02 nats. {second}
3. Neighbours differ by too little for eight seeds. {third}
4. One block of 32 reads nothing but the embedding and one running sum: hardly a gain. {fourth}: {with_interval(last, last_half)}."""

    def paper(self):
        ours = np.mean(self.table, axis=0)
        theirs = [PAPER[s] - PAPER_BASELINE for s in SIZES]
        agree = float(np.corrcoef(ours, theirs)[0, 1])
        share = [100 * x[-1] / x[0] for x in (ours, theirs)]
        return (
            f"The paper's losses (436 M parameters, no seeds) lie below its baseline by {-max(theirs):.3f} to {-min(theirs):.3f} nats a token of its own vocabulary; "
            f"ours, nats a byte, by {-max(ours):.3f} to {-min(ours):.3f}. Over the six sizes the two correlate by {agree:+.2f}. "
            f"One block of 32 keeps {share[0]:.0f} % of the gain of blocks of 1 here, {share[1]:.0f} % there."
        )

    def text(self):
        n = len(self.seeds)
        found = stats.smallest_effect(n, 0.05 / len(SIZES)) * self.sd[0]
        return f"""\
# Block size of block AttnRes

{self.first_sentence()}

    scripts/study block_size     # trains, compares, draws, and writes this page: every number in it is computed by scripts/results_page.py

**Setting** (`experiments/block_size.toml`): 16 transformer blocks = 32 sublayers, width 64, context 128, bytes of Jane Austen, 1000 steps x 1024 tokens, AdamW, cosine from
4e-3, {n} seeds, paired: initial values of shared parameters and the order of the data are those of `standard` with the same seed. Losses are over the whole validation split. One learning
rate for all, none tuned. Trained by commit {self.study.answer["made_by"].split(";")[0]}.

{self.rows()}

Pairs differ with a standard deviation of {between(*self.sd)} nats (pooled over sizes); the smallest of six differences that {n} seeds find four times in five is {found:.3f} nats.
A size of 1 is full AttnRes. p: paired t test against `standard`, Holm over the six.

![effect by block size](block_size.png)

## Hypotheses, written before the runs

(The reason given in the fourth was corrected after two runs of `standard` and before any run of block AttnRes.)

{self.hypotheses()}

## Beside the paper (Fig. 6)

{self.paper()}

What would decide more: the same sweep at a tuned rate of each size (`--scale gpu` has the larger network), and more tokens: here there are {1024000 / self.study.row("standard")["params"]:.1f} for each parameter.

![paired differences](forest.png)
![loss during training](loss_curves.png)

Files: `comparison.json` what `plumb compare --json` says, `block_size.csv` the points of the figure, `forest.csv` the differences by seed.
"""


def page(folder):
    return Page(folder).text()


def draw(folder):
    """block_size.svg, .png, .csv: differences to standard by block size, ours and the paper's."""
    found = Page(folder)
    style.use()
    fig, (left, right) = style.plt.subplots(1, 2, figsize=(style.WIDTH, 2.7))
    color = style.LOOKS["attnres_block"].color
    x, rows = np.arange(len(SIZES)), []
    means, halves = zip(*(stats.interval(list(found.gain[s].values())) for s in SIZES))
    for i, s in enumerate(SIZES):
        values = list(found.gain[s].values())
        left.plot([i + 0.15] * len(values), values, "o", ms=3, mew=0, alpha=0.5, color=color)
        rows += [(s, "ours", seed, value) for seed, value in found.gain[s].items()]
        rows.append((s, "paper", "", PAPER[s] - PAPER_BASELINE))
    left.errorbar(x - 0.1, means, yerr=halves, fmt="D", ms=4, lw=1.4, color=color)
    left.set_title("here: diamond, mean and 95 % t; dots, seeds", fontsize=8)
    right.plot(x, [PAPER[s] - PAPER_BASELINE for s in SIZES], "s-", color="#555555")
    right.set_title("the paper, Fig. 6: 436 M parameters", fontsize=8)
    for ax, unit in ((left, "byte"), (right, "token")):
        ax.axhline(0, color="#222222", lw=0.9)
        ax.set_xticks(x, SIZES)
        ax.set(xlabel="sublayers in a block", ylabel=f"minus standard (nats per {unit})")
    style.save(fig, found.study.folder, "block_size")
    style.write_csv(found.study.folder / "block_size.csv", ("block_size", "whose", "seed", "difference_nats"), rows)
