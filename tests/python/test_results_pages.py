"""The pages of results that sweeps made: each published page against its own files, and its numbers
against ones computed here. Run: python3 -m unittest -v (here).
"""

import csv
import json
import re
import shutil
import sys
import tempfile
import unittest
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from io import StringIO
from pathlib import Path

import numpy as np
from scipy import stats as scipy_stats

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts")]

import results_page  # noqa: E402

RESULTS = ROOT / "results"


def values(name):
    """{label: {seed: final loss}} from results/NAME/comparison.json."""
    rows = json.loads((RESULTS / name / "comparison.json").read_text())["rows"]
    return {r["label"]: {int(s): x for s, x in r["values"].items()} for r in rows}


def text(name):
    return (RESULTS / name / "README.md").read_text().replace("−", "-")


class Published(unittest.TestCase):
    names = [n for n in results_page.PAGES if n != "dilution"]

    def test_each_page_is_what_its_files_give(self):
        for name in self.names:
            with self.subTest(name):
                page = import_module(f"plumb.pages.{name}").page(RESULTS / name)
                self.assertEqual((RESULTS / name / "README.md").read_text(), page)

    def test_figures_of_each_page_exist(self):
        for name in self.names:
            for figure in re.findall(r"\]\(([^)]+\.png)\)", text(name)):
                for kind in ("png", "svg", "csv"):
                    path = (RESULTS / name / figure).with_suffix(f".{kind}")
                    self.assertTrue(path.exists(), path)

    def test_numbers_that_say_otherwise_are_not_published(self):
        folder = Path(tempfile.mkdtemp()) / "noise"
        self.addCleanup(shutil.rmtree, folder.parent)
        shutil.copytree(RESULTS / "noise", folder)
        path = folder / "comparison.json"
        answer = json.loads(path.read_text())
        for row in answer["rows"]:  # a tenth of the noise
            mean = np.mean(list(row["values"].values()))
            row["values"] = {s: mean + (x - mean) / 10 for s, x in row["values"].items()}
        path.write_text(json.dumps(answer))
        with redirect_stderr(StringIO()) as err, redirect_stdout(StringIO()):
            self.assertEqual(results_page.main([str(folder)]), 4)
        self.assertIn("above what was expected", err.getvalue())


class Noise(unittest.TestCase):
    def test_standard_deviations_by_hand(self):
        found = values("noise")
        squares = 0
        for label, shape in (("standard layers=12", "12 x 64"), ("standard layers=16", "16 x 64")):
            x = np.array(list(found[label].values()))
            sd = x.std(ddof=1)
            low, high = (sd * np.sqrt(9 / q) for q in scipy_stats.chi2.interval(0.95, 9)[::-1])
            row = next(s for s in text("noise").splitlines() if s.startswith(f"| {shape}"))
            self.assertIn(f"| {sd:.4f} [{low:.4f}, {high:.4f}] |", row)
            squares += ((x - x.mean()) ** 2).sum()
        self.assertIn(f"by {np.sqrt(squares / 18):.4f} [", text("noise"))

    def test_smallest_difference_is_found_four_times_in_five(self):
        # The cell of 5 seeds and one comparison, simulated with the printed standard deviation.
        sd = float(re.search(r"pair's difference ([\d.]+)", text("noise"))[1])
        row = next(s for s in text("noise").splitlines() if s.startswith("| one comparison"))
        effect = float(row.split("|")[3])
        x = np.random.default_rng(1).normal(effect, sd, (40000, 5))
        self.assertAlmostEqual(
            np.mean(scipy_stats.ttest_1samp(x, 0, axis=1).pvalue < 0.05), 0.8, delta=0.02
        )

    def test_spread_over_training_by_hand(self):
        with (RESULTS / "noise" / "loss_curves.csv").open(newline="") as f:
            rows = [r for r in csv.DictReader(f) if r["split"] == "val" and r["step"] == "500"]
        for label in ("standard layers=12", "standard layers=16"):
            x = [float(r["loss_nats"]) for r in rows if r["label"] == label]
            self.assertEqual(len(x), 10)
            self.assertRegex(text("noise"), rf"{np.std(x, ddof=1):.3f}[^,]* at step 500")


class BlockSize(unittest.TestCase):
    def test_difference_interval_and_holm_by_hand(self):
        found = values("block_size")
        seeds = range(1, 9)
        tests = {}
        for size in (1, 2, 4, 8, 16, 32):
            mine = found[f"block block_size={size}"]
            tests[size] = np.array([mine[s] - found["standard"][s] for s in seeds])
        p = {k: scipy_stats.ttest_1samp(d, 0).pvalue for k, d in tests.items()}
        running = 0.0
        for rank, size in enumerate(sorted(p, key=p.get)):
            running = max(running, min(1.0, (6 - rank) * p[size]))
            d = tests[size]
            low, high = scipy_stats.t.interval(0.95, 7, d.mean(), scipy_stats.sem(d))
            row = next(s for s in text("block_size").splitlines() if s.startswith(f"| {size} |"))
            self.assertIn(f"| {d.mean():+.4f} [{low:+.4f}, {high:+.4f}] |", row)
            shown = "<0.0001" if running < 1e-4 else f"{running:.2g}"
            self.assertEqual(row.split(" | ")[4], shown)

    def test_trend_by_hand(self):
        found = values("block_size")
        x = np.log2([1, 2, 4, 8, 16, 32])
        slopes = [
            scipy_stats.linregress(x, [found[f"block block_size={2**k}"][s] for k in range(6)]).slope
            for s in range(1, 9)
        ]
        half = scipy_stats.t.ppf(0.975, 7) * scipy_stats.sem(slopes)
        mean = np.mean(slopes)
        self.assertIn(f"{mean:+.4f} [{mean - half:+.4f}, {mean + half:+.4f}] nats a doubling", text("block_size"))


class Tuned(unittest.TestCase):
    def setUp(self):
        answer = json.loads((RESULTS / "tuned" / "comparison.json").read_text())
        self.tried = {}
        for r in answer["tuning"]:
            at = r["variant"], r["values"]["train.lr"], r["values"].get("mixer.lr_scale", 1)
            self.tried[at] = dict(zip(r["seeds"], r["losses"]))

    def interval(self, d, digits):
        low, high = scipy_stats.t.interval(0.95, len(d) - 1, np.mean(d), scipy_stats.sem(d))
        return f"{np.mean(d):+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]"

    def test_difference_interval_and_holm_by_hand(self):
        found = values("tuned")
        mixers = ("attnres", "block", "highway", "hyper")
        tests = {m: np.array([found[m][s] - found["standard"][s] for s in range(1, 6)]) for m in mixers}
        p = {m: scipy_stats.ttest_1samp(d, 0).pvalue for m, d in tests.items()}
        running = 0.0
        for rank, m in enumerate(sorted(p, key=p.get)):
            running = max(running, min(1.0, (4 - rank) * p[m]))
            row = next(s for s in text("tuned").splitlines() if f"(`{m}`)" in s)
            self.assertIn(f"| {self.interval(tests[m], 4)} |", row)
            self.assertEqual(row.split(" | ")[-1].strip(" |"), "<0.0001" if running < 1e-4 else f"{running:.2g}")

    def test_the_chosen_rate_has_the_lowest_mean_of_the_first_stage(self):
        for m in ("standard", "attnres", "block", "highway", "hyper"):
            means = {at[1:]: np.mean(list(of.values())) for at, of in self.tried.items() if at[0] == m}
            rate, scale = min(means, key=means.get)
            row = next(s for s in text("tuned").splitlines() if s.startswith("|") and f"`{m}`" in s)
            said = f"{1000 * rate:g}e-3" + (f", {scale:g}" if m != "standard" else "")
            self.assertEqual(row.split(" | ")[1], said)

    def test_differences_at_one_rate_by_hand(self):
        rows = text("tuned").split("| rate of both |")[1].splitlines()
        rates = [s.strip() for s in rows[0].split("|") if s.strip()]
        cells = next(s for s in rows if s.startswith("| `attnres` |")).split("|")[2:]
        for rate, cell in zip(rates, cells):
            mine = self.tried.get(("attnres", float(rate), 1))
            if mine:
                d = [mine[s] - x for s, x in self.tried["standard", float(rate), 1].items()]
                self.assertEqual(cell.strip(), self.interval(d, 3))

    def test_lr_scale_by_hand(self):
        best = {}
        for (m, _, scale), losses in self.tried.items():
            if m == "hyper" and (scale not in best or np.mean(list(losses.values())) < np.mean(list(best[scale].values()))):
                best[scale] = losses
        d = [x - best[1][s] for s, x in best[10].items()]
        third = next(s for s in text("tuned").splitlines() if s.startswith("3. "))
        self.assertIn(self.interval(d, 4), third)


if __name__ == "__main__":
    unittest.main()
