"""E0 of results/dilution: AttnRes with frozen zero queries beside the standard network it is."""

import math

import numpy as np

from .study import Study, claim, families, largest_relative_difference, loss_differences
from .wording import power_of_ten, short, with_interval

STANDARD = "standard"
FROZEN = (
    "attnres freeze=[query]",
    "attnres_block block_size=2 freeze=[query]",
    "attnres_block block_size=3 freeze=[query]",
    "attnres_block block_size=6 freeze=[query]",
)
COMPARABLE = {
    "write_share": "write share",
    "effective_sources": "effective sources",
    "embedding_share": "embedding share",
    "angular_distance": "angular distance",
    "ablation": "first-order ablation",
    "dout_rms": "rms dLoss/dv",
    "pgrad_norm": "gradient norm of weights",
}
PLAIN, NUDGED = "standard lr=0.001", "standard lr=0.0010000002"  # of the rounding control
ROUNDING = 1e-5  # nats: losses nearer than this are called equal; float carries about 1e-7 of them


class E0:
    def __init__(self, folder):
        self.frozen = Study(folder / "frozen")
        self.rounding = Study(folder / "rounding")
        rows = self.frozen.rows("results")
        known = {r["label"] for r in rows if int(r["n_seeds"]) > 1}
        self.here = tuple(k for k in FROZEN if k in known)
        claim(
            STANDARD in known and self.here, "standard and a frozen AttnRes have two seeds or more"
        )

    def raw_factors(self):
        """{label: |v|/|h| of the last sublayer over standard's, mean over seeds}."""
        factors = {}
        for label in self.here:
            raw = [
                self.frozen.by_seed("bookkeeping", k, "contribution", lambda p: p[-2])
                for k in (label, STANDARD)
            ]
            factors[label] = np.mean([raw[0][s] / raw[1][s] for s in raw[0] if s in raw[1]])
        return factors

    def loss_gaps(self):
        """{step: largest |loss difference| of a frozen variant and standard over seeds}."""
        gaps = {}
        for label in self.here:
            for step, x in loss_differences(self.frozen, label, STANDARD).items():
                gaps[step] = max(gaps.get(step, 0.0), x)
        return gaps

    def control(self):
        """(loss_gaps() of the nudged copy of standard, its final differences), None without."""
        if not (self.rounding.folder / "loss_curves.csv").exists():
            return None
        ends = list(self.rounding.differences(NUDGED).values())
        return loss_differences(self.rounding, NUDGED, PLAIN), ends

    def start(self):
        """Largest |loss difference| before training."""
        gaps = self.loss_gaps()
        start = gaps[min(gaps)]
        claim(start < ROUNDING, "frozen zero-query AttnRes starts with the losses of standard")
        return start

    def aside(self):
        """What the control says to it, in brackets; "" without one."""
        control = self.control()
        if control is None:
            return ""
        largest = max(control[0].values())
        return f" (a copy of `standard`, nudged by a rounding error: {power_of_ten(largest)})"

    def frozen_ends(self):
        """A sentence on the frozen variants' final losses over the whole split."""
        tests = families(self.frozen, (self.here,))
        each = "; ".join(
            f"{short(k)} {with_interval(mean, half)}" for k, (mean, half, *_) in tests.items()
        )
        resolved = [short(k) for k, t in tests.items() if t[-1] < 0.05]
        which = ", ".join(resolved) or "none"
        words = (
            f"Final loss over the whole split minus `standard`'s: {each}. Resolved from 0 (Holm "
        )
        return f"{words}over {len(tests)}): {which}."

    def growth(self):
        """A sentence on how rounding grows, beside the control's."""
        gaps, control = self.loss_gaps(), self.control()
        steps = [s for s in dict.fromkeys((100, 200, max(gaps))) if s in gaps]
        text = ", ".join(f"{power_of_ten(gaps[s])} at step {s}" for s in steps)
        words = f"Training amplifies differences of that size (largest over variants and seeds: {text})."
        if control is None:
            return words
        other = ", ".join(
            f"{power_of_ten(control[0][s])} at step {s}" for s in steps if s in control[0]
        )
        ends = [x for k in self.here for x in self.frozen.differences(k).values()]
        mine, theirs = (math.sqrt(np.mean(np.square(x))) for x in (ends, control[1]))
        return (
            f"{words} It does so to `standard` itself: a copy whose learning rate is 2 in 10^7 larger differs by {other}. "
            f"Root mean square of the final differences: {mine:.4f} (frozen, {len(ends)} pairs), {theirs:.4f} (the copy, {len(control[1])} pairs). "
            "That much of every single pair's difference below is rounding and not the mixer."
        )

    def section(self):
        factors = ", ".join(f"{x:.1f} ({short(k)})" for k, x in self.raw_factors().items())
        gaps = self.loss_gaps()

        def worst(column, choose):
            return power_of_ten(
                max(
                    largest_relative_difference(
                        self.frozen, "bookkeeping", column, k, STANDARD, choose
                    )
                    for k in self.here
                )
            )

        first = "; ".join(f"{name} {worst(key, min)}" for key, name in COMPARABLE.items())
        last = "; ".join(f"{name} {worst(key, max)}" for key, name in COMPARABLE.items())
        return f"""\
## E0: one network, several bookkeepings

Every sublayer starts with a norm, so a positive factor on what it reads changes nothing. AttnRes with zero queries reads the mean of its sources where `standard` reads their sum. {len(self.here)} AttnRes variants
whose queries were **frozen** at zero were trained beside `standard`. At step {min(gaps)} the validation losses agree to **{power_of_ten(gaps[min(gaps)])}** nats, what float rounding and the epsilon of the norms leave. {self.growth()}
{self.frozen_ends()}

Yet |v|/|h| of the last sublayer reads, times `standard`'s at the end of training: {factors}. The "bounded, periodic" curve of the
paper's Fig. 5b can be had from the standard network by bookkeeping alone, so it is no evidence about dilution. Comparable measures, largest difference over largest value, all depths and seeds:
at the first probe {first}; at the last one, where the losses differ too, {last}.

![one network, several bookkeepings](frozen/bookkeeping.png)
"""
