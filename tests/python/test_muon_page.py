"""The page of results/muon from made-up runs: verdicts, intervals and tables against numbers computed
here. Run: python3 -m unittest -v (here).
"""

import csv
import json
import shutil
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np
from scipy import stats as scipy_stats

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts")]

from plumb.pages import muon  # noqa: E402
from plumb.pages.study import StudyError  # noqa: E402

SEEDS = range(1, 6)
LABELS = ("standard", "standard-muon", "block", "block-muon")
N = 24  # sublayers
# Mean losses of the first stage by rate, what it chose marked by its being the lowest.
RATES = {
    "standard": {2e-3: 1.60, 4e-3: 1.55, 8e-3: 1.50, 16e-3: 1.58},
    "block": {2e-3: 1.60, 4e-3: 1.515, 8e-3: 1.50, 16e-3: 1.515},
    "standard-muon": {2e-3: 1.52, 4e-3: 1.455, 8e-3: 1.45, 16e-3: 1.46, 32e-3: 1.60},
    "block-muon": {2e-3: 1.52, 4e-3: 1.50, 8e-3: 1.455, 16e-3: 1.44, 32e-3: 1.45},
}
MEANS = {"standard": 1.50, "standard-muon": 1.42, "block": 1.48, "block-muon": 1.415}


def losses():
    """{label: {seed: loss}} of the second stage."""
    rng = np.random.default_rng(3)
    common = rng.normal(0, 0.01, len(SEEDS))
    return {
        k: {s: MEANS[k] + c + e for s, c, e in zip(SEEDS, common, rng.normal(0, 0.01, len(SEEDS)))}
        for k in LABELS
    }


def answer():
    tuning = []
    for label, by_rate in RATES.items():
        muon_rate = label.endswith("-muon")
        for rate, mean in by_rate.items():
            values = {"train.lr": 8e-3, "train.muon_lr": rate} if muon_rate else {"train.lr": rate}
            chosen = mean == min(by_rate.values())
            tuning.append({
                "variant": label, "values": values, "seeds": [101, 102, 103], "n_diverged": 0,
                "losses": [mean - 0.01, mean, mean + 0.01], "chosen": chosen, "edge": "",
            })  # fmt: skip
    rows = [
        {"label": k, "values": {str(s): x for s, x in v.items()}, "params": 620096.0,
         "tokens": 1024000.0, "flops_change": 0.2}
        for k, v in losses().items()
    ]  # fmt: skip
    return {"tuning": tuning, "rows": rows, "made_by": "abcdef0; numerics 1; cpu"}


def profile(label, seed, column):
    """Values at depths 0..L+1. Under Muon outputs spread half as far in the logarithm, updates are
    alike, gradients slope half as much.
    """
    depth = np.arange(N + 2)
    part = 0.5 if label.endswith("-muon") else 1.0
    noise = 1 + 0.01 * seed
    if column == "out_rms":
        return np.exp(part * 0.1 * noise * depth)
    if column == "update_ratio":
        return 1e-3 * (1 + 0.3 * part * noise * np.where(depth == 5, 1.0, 0.0))
    if column == "dout_rms":
        return np.exp(-part * 0.02 * noise * depth)
    return 1 / (1 + depth * noise)


def write(folder):
    (folder / "comparison.json").write_text(json.dumps(answer()))
    columns = {"magnitudes": ["out_rms"], "gradients": ["dout_rms", "update_ratio"], "shares": ["write_share"]}
    for name, keys in columns.items():
        with (folder / f"{name}.csv").open("w", newline="") as f:
            out = csv.writer(f)
            out.writerow(["label", "seed", "step", "depth", *keys])
            for label in LABELS:
                for seed in SEEDS:
                    values = zip(*(profile(label, seed, k) for k in keys))
                    out.writerows([label, seed, 1000, d, *v] for d, v in enumerate(values))


def interval(x, digits=4):
    low, high = scipy_stats.t.interval(0.95, len(x) - 1, np.mean(x), scipy_stats.sem(x))
    return f"{np.mean(x):+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]"


def ratio(logs):
    low, high = scipy_stats.t.interval(0.95, len(logs) - 1, np.mean(logs), scipy_stats.sem(logs))
    return "{:.2f}× [{:.2f}, {:.2f}]".format(*np.exp([np.mean(logs), low, high]))


class MuonPage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        write(cls.folder)
        cls.text = muon.page(cls.folder).replace("−", "-")

    def apart(self, a, b):
        found = losses()
        return np.array([found[a][s] - found[b][s] for s in SEEDS])

    def line(self, start):
        return next(s for s in self.text.splitlines() if s.startswith(start))

    def test_the_two_declared_tests_by_hand(self):
        d = [self.apart("standard-muon", "standard"), self.apart("block-muon", "standard-muon")]
        p = [scipy_stats.ttest_1samp(x, 0).pvalue for x in d]
        small, large = min(p), max(p)
        adjusted = {small: 2 * small, large: max(2 * small, large)}
        for number, x, q in zip("12", d, p):
            shown = "<0.0001" if adjusted[q] < 1e-4 else f"{adjusted[q]:.2g}"
            self.assertIn(f"{interval(x)}, p {shown}.", self.line(f"{number}. "))
        self.assertIn("**Right**", self.line("1. "))  # all of the interval is below -0.03
        less = d[1] - self.apart("block", "standard")
        self.assertIn(f"under AdamW is {interval(less)}", self.line("2. "))

    def test_losses_beside_one_another(self):
        row = self.line("| block AttnRes | Muon | 16e-3 | 1.4")
        self.assertIn(interval(self.apart("block-muon", "block")), row)
        self.assertIn(interval(self.apart("block-muon", "standard-muon")), row)

    def test_how_flat_the_response_is(self):
        # Within 0.02 of the best: standard 8e-3 alone; block 4 to 16e-3; Muon 4 to 16e-3 and 8 to
        # 32e-3, of which 16e-3 and 8e-3 are best.
        page = muon.Page(self.folder)
        found = [page.flat_over(k) for k in LABELS]
        np.testing.assert_allclose(found, [1, 4, 4, 4])
        third = self.line("3. ")
        self.assertIn("**Right**: a factor of 4 for `standard`, a factor of 4 for block", third)
        self.assertIn("to a factor of 2. **Right**: 8e-3 and 16e-3.", third)
        self.assertIn("| +0.080 [+0.080, +0.080] |", self.line("| `standard` | AdamW | 8e-3 | +0.1"))

    def test_norms_by_depth_by_hand(self):
        # Sublayers 3 to 24 are 21 steps of depth.
        logs = {k: [np.log(f[24] / f[3]) for f in (profile(k, s, "out_rms") for s in SEEDS)] for k in LABELS}
        row = self.line("| largest / smallest rms of v_l, sublayers 3 on | block")
        for x in (logs["block"], logs["block-muon"], np.subtract(logs["block-muon"], logs["block"])):
            self.assertIn(ratio(x), row)
        # One attention sublayer of twelve is larger by 0.15 (1 + seed / 100) under Muon.
        far = [(1 + a) / (1 + a / 12) - 1 for a in (0.15 * (1 + 0.01 * s) for s in SEEDS)]
        self.assertIn(f"| {np.mean(far):.3f} ±", self.line("| update / weight of attention: farthest from their mean | `s"))
        self.assertIn("| 0.000 ±0.000 |", self.line("| update / weight of MLP"))
        slopes = [0.01 * (1 + 0.01 * s) for s in SEEDS]
        self.assertIn(f"{interval(slopes, 3)} |", self.line("| log-slope of dLoss/dv, per sublayer | `s"))
        words = self.text.split("4. Norms by depth")[1].split("\n\n")[0]
        self.assertEqual(words.count("**Right**"), 6)

    def test_figures_and_the_numbers_behind_them(self):
        muon.draw(self.folder)
        for name in ("muon", "norms"):
            for kind in ("svg", "png", "csv"):
                self.assertGreater((self.folder / f"{name}.{kind}").stat().st_size, 200)
        with (self.folder / "norms.csv").open(newline="") as f:
            rows = list(csv.DictReader(f))
        self.assertEqual(len(rows), len(LABELS) * len(SEEDS) * (N + 2))
        self.assertAlmostEqual(float(rows[3]["out_rms"]), np.exp(0.303), places=6)

    def test_runs_that_do_not_fit_are_not_published(self):
        folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder)
        write(folder)
        says = answer()
        says["rows"][3]["values"].pop("5")
        (folder / "comparison.json").write_text(json.dumps(says))
        with self.assertRaisesRegex(StudyError, "the same seeds"):
            muon.page(folder)


if __name__ == "__main__":
    unittest.main()
