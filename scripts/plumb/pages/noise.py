"""The page of results/noise: how much the seed alone moves the final validation loss."""

import numpy as np

from .. import stats
from ..figures import style
from ..wording import with_interval
from .study import claim
from .sweep_study import SweepStudy, between, standard_deviation

SHAPES = {"standard layers=12": "12 x 64", "standard layers=16": "16 x 64"}
EXPECTED = (0.004, 0.010)  # experiments/noise.toml


class Page:
    def __init__(self, folder):
        self.study = SweepStudy(folder)
        self.losses = {k: self.study.values(k) for k in SHAPES}
        self.seeds = sorted(set.intersection(*(set(v) for v in self.losses.values())))
        claim(len(self.seeds) == 10, "both shapes have the same ten seeds")
        columns = [[v[s] for s in self.seeds] for v in self.losses.values()]
        self.each = {k: standard_deviation([c]) for k, c in zip(SHAPES, columns)}
        self.pooled = standard_deviation(columns)
        self.same_seed = float(np.corrcoef(columns)[0, 1])
        self.gap = stats.interval(np.subtract(columns[1], columns[0]))

    def first_sentence(self):
        sd, low, high = self.pooled
        claim(low > EXPECTED[1], "the whole interval lies above what was expected")
        return (
            f"Another seed alone moves the final validation loss of `standard` by {between(sd, low, high)} nats "
            f"(standard deviation, both shapes): more than the {EXPECTED[0]} to {EXPECTED[1]:.3f} that was expected. "
            "**The hypothesis was wrong.**"
        )

    def table(self):
        head = "| blocks x width | final validation loss, mean [95 %] | standard deviation [95 %] | lowest, highest |"
        lines = [head, "|---|---:|---:|---:|"]
        for label, shape in SHAPES.items():
            values = list(self.losses[label].values())
            mean, half = stats.interval(values)
            lines.append(
                f"| {shape} | {between(mean, mean - half, mean + half)} | {between(*self.each[label])} "
                f"| {min(values):.4f}, {max(values):.4f} |"
            )
        return "\n".join(lines)

    def can_find(self):
        """Smallest mean difference that n pairs find four times in five, were the pairs no more alike
        than two networks of different seeds.
        """
        sd = self.pooled[0] * np.sqrt(2)
        rows = [("seeds", (3, 5, 8, 10, 20))]
        for tests in (1, 2, 6):
            name = "one comparison" if tests == 1 else f"the smallest of {tests} (Holm)"
            found = (stats.smallest_effect(n, 0.05 / tests) * sd for n in rows[0][1])
            rows.append((name, tuple(f"{x:.3f}" for x in found)))
        lines = ["| " + " | ".join((name, *map(str, cells))) + " |" for name, cells in rows]
        return "\n".join([lines[0], "|---|" + "---:|" * len(rows[0][1]), *lines[1:]])

    def by_step(self):
        spread = {k: {s: np.std(v, ddof=1) for s, v in self.study.losses_by_step(k).items()} for k in SHAPES}
        steps = [s for s in spread[next(iter(SHAPES))] if s]
        some = [steps[0], steps[len(steps) // 2 - 1], steps[-1]]
        words = (f"{' and '.join(f'{spread[k][s]:.3f}' for k in SHAPES)} at step {s}" for s in some)
        return f"Over training, on the first 128 validation sequences, the standard deviation is {', '.join(words)}."

    def text(self):
        z, error = np.arctanh(self.same_seed), 1.96 / np.sqrt(len(self.seeds) - 3)
        low, high = np.tanh([z - error, z + error])
        deeper = "is resolved" if abs(self.gap[0]) > self.gap[1] else "is not resolved"
        return f"""\
# Noise of the seed

{self.first_sentence()}

    scripts/study noise     # trains, compares, draws, and writes this page: every number in it is computed by scripts/results_page.py

**Setting** (`experiments/noise.toml`): `standard`, 12 or 16 transformer blocks of width 64, context 128, bytes of Jane Austen, 1000 steps x 1024 tokens, AdamW,
cosine from 4e-3, ten seeds. A seed sets initial values and the order of the data. Losses are over the whole validation split. Trained by commit {self.study.answer["made_by"].split(";")[0]}.

{self.table()}

![losses of ten seeds](noise.png)

The deeper network ends {with_interval(*self.gap)} nats from the other, paired by seed; that {deeper} at ten seeds. Whether it is less noisy, as was expected,
is not decided either: the intervals of the two standard deviations overlap nearly whole. Losses of the two shapes with one seed correlate by {self.same_seed:+.2f}
[{low:+.2f}, {high:+.2f}] (Fisher's z), so ten seeds do not say how much of the noise is the order of the data, which they share.
{self.by_step()}

## What sweeps of this size can find

Smallest difference in nats that is found four times in five at the 5 % level, if pairs with one seed were no more alike than others (standard deviation of a pair's difference {self.pooled[0] * np.sqrt(2):.4f}):

{self.can_find()}

`plumb sweep plan` says this of every sweep before it is run. Pairing helps by as much as two mixers answer alike to one seed; the pages of `block_size` and `tuned` have the measured standard deviations of their pairs.

## Why more than expected

What was expected came from 12 blocks of width 128 at rate 1e-3 (0.009). Width and rate both differ here; which of them makes the noise is open. The same ten seeds at 1e-3
would decide it.

![loss during training](loss_curves.png)

Files: `comparison.json` what `plumb compare --json` says, `noise.csv` the points of the figure, `loss_curves.csv` every curve.
"""


def page(folder):
    return Page(folder).text()


def draw(folder):
    """noise.svg, .png, .csv: the final losses of all seeds, and how far seeds differ over training."""
    found = Page(folder)
    style.use()
    fig, (left, right) = style.plt.subplots(1, 2, figsize=(style.WIDTH, 2.5))
    rows = []
    for i, (label, shape) in enumerate(SHAPES.items()):
        color = style.FURTHER[2 * i].color
        values = found.losses[label]
        mean, half = stats.interval(list(values.values()))
        left.plot([i + 0.12] * len(values), list(values.values()), "o", ms=4, mew=0, alpha=0.6, color=color)
        left.errorbar(i - 0.12, mean, yerr=half, fmt="D", ms=4, lw=1.4, color=color)
        rows += [(shape, "final loss of a seed", seed, x) for seed, x in values.items()]
        curve = {s: np.std(v, ddof=1) for s, v in found.study.losses_by_step(label).items() if s}
        right.plot(list(curve), list(curve.values()), marker="os"[i], color=color, label=shape)
        rows += [(shape, "standard deviation at a step", step, x) for step, x in curve.items()]
    left.set_xticks(range(len(SHAPES)), SHAPES.values())
    left.set_xlabel("blocks x width")
    left.set_xlim(-0.6, len(SHAPES) - 0.4)
    left.set_ylabel("nats per byte")
    left.set_title("final validation loss; diamond: mean, 95 % t", fontsize=8)
    right.set(xlabel="step", ylabel="nats per byte", ylim=(0, None))
    right.set_title("standard deviation over ten seeds", fontsize=8)
    right.legend()
    style.save(fig, found.study.folder, "noise")
    style.write_csv(found.study.folder / "noise.csv", ("shape", "what", "seed_or_step", "nats"), rows)
