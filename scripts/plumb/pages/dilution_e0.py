"""E0 of results/dilution: the weights of `standard` read by frozen zero-query AttnRes, which is the
same network, and what rounding does to the training of such twins.
"""

import math

import numpy as np

from .. import stats
from .study import Study, claim, loss_differences
from ..wording import count_word, listed, power_of_ten, with_interval

COMPARABLE = {
    "write_share": "write share",
    "effective_sources": "effective sources",
    "embedding_share": "embedding share",
    "angular_distance": "angular distance",
    "ablation": "first-order ablation",
    "dout_rms": "rms dLoss/dv",
    "pgrad_norm": "gradient norm of weights",
}
# Of the runs that were trained, to see rounding grow.
PLAIN, NUDGED, FROZEN = "standard lr=0.001", "standard-nudged", "attnres-frozen"
ROUNDING = 1e-6  # nats: losses nearer than this are called equal; float carries about 1e-7 of them


class E0:
    def __init__(self, folder):
        self.twins = Study(folder / "twins")
        self.rounding = Study(folder / "rounding")
        self.rows = self.twins.rows("twins")
        claim(self.rows, "a twin of standard has been evaluated")
        self.steps = sorted({int(r["step"]) for r in self.rows})
        self.seeds = sorted({int(r["seed"]) for r in self.rows})
        self.variants = list(dict.fromkeys(r["variant"] for r in self.rows))

    def column(self, name, **where):
        rows = (r for r in self.rows if all(r[k] == str(v) for k, v in where.items()))
        return np.array([float(r[name]) for r in rows])

    def loss_gap(self):
        """Largest |loss difference| of a twin: any variant, seed and step."""
        gap = np.abs(self.column("difference_nats")).max()
        claim(gap < ROUNDING, "frozen zero-query AttnRes has the losses of standard")
        return gap

    def measures_gap(self):
        """{name: largest relative difference of this comparable measure}."""
        return {name: self.column(key).max() for key, name in COMPARABLE.items()}

    def raw_factors(self):
        """{variant: |v|/|h| of the last sublayer over standard's, mean over seeds, at the end}."""
        end = self.steps[-1]
        return {v: self.column("raw_ratio", variant=v, step=end).mean() for v in self.variants}

    # ---- sentences -------------------------------------------------------------------------------

    def training(self):
        """What training twins apart does, "" where none was trained."""
        if not (self.rounding.folder / "loss_curves.csv").exists():
            return ""
        mine, copies = (
            loss_differences(self.rounding, label, PLAIN) for label in (FROZEN, NUDGED)
        )
        steps = [s for s in dict.fromkeys((min(mine), 100, 200, max(mine))) if s in mine]

        def course(gaps):
            return ", ".join(f"{power_of_ten(gaps[s])} at {s}" for s in steps if s in gaps)

        ends = [list(self.rounding.differences(k).values()) for k in (FROZEN, NUDGED)]
        rms = [math.sqrt(np.mean(np.square(x))) for x in ends]
        interval = (
            f", mean {with_interval(*stats.interval(ends[0]))} nats" if len(ends[0]) > 1 else ""
        )
        return f"""
**Trained apart, twins part by rounding.** `attnres` frozen from the start to the end of training, beside `standard` of the same seed: largest loss difference by step {course(mine)}.
A copy of `standard` itself whose learning rate is 2 in 10^7 larger: {course(copies)}. Root mean square of the final differences over the whole split: {rms[0]:.4f} (frozen, {len(ends[0])} pairs{interval}),
{rms[1]:.4f} (the copy, {len(ends[1])} pairs). That much of every single pair's difference below is rounding and not the mixer.
"""

    def section(self):
        factors = ", ".join(f"{x:.1f} (`{v}`)" for v, x in self.raw_factors().items())
        gaps = "; ".join(f"{name} {power_of_ten(x)}" for name, x in self.measures_gap().items())
        return f"""\
## E0: one network, several bookkeepings

Every sublayer starts with a norm, so a positive factor on what it reads changes nothing. AttnRes with zero queries reads the mean of its sources where `standard` reads their sum. At each of the {len(self.steps)} evaluations
of `standard` (steps {listed(self.steps)}; {count_word(len(self.seeds))}) its weights were given to {len(self.variants)} AttnRes networks whose queries are **frozen** at zero, and everything was measured on the first 16,384 tokens of the validation split.
The losses agree to **{power_of_ten(self.loss_gap())}** nats at the worst of these {len(self.rows)} pairs, which is float rounding. Comparable measures, largest difference over largest value, all depths, steps and seeds: {gaps}.
(The constant in the norms was 1e-30 on both sides: it alone can tell a mean from a sum.)

Yet |v|/|h| of the last sublayer reads, times `standard`'s with the same weights at the end of training: {factors}. The "bounded, periodic" curve of the
paper's Fig. 5b can be had from the standard network by bookkeeping alone, so it is no evidence about dilution. The weights' gradients agree too, so in exact arithmetic the twins would train alike.

![one network, several bookkeepings](twins/bookkeeping.png)
{self.training()}"""
