"""The page of results/dilution: its numbers against ones computed from the runs, sentences that are
no longer so, and the published page against its own CSV files. Run: python3 -m unittest -v (here).
"""

import csv
import io
import json
import re
import shutil
import sys
import tempfile
import unittest
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
from scipy import stats as scipy_stats

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT / "scripts")]

import dilution_page  # noqa: E402
import figures  # noqa: E402
import synthetic  # noqa: E402
from plumbplot import study  # noqa: E402

VARIANTS = {  # name: mixer, settings, the mixer whose numbers it gets, division of its reads
    "standard": ("standard", {}, None, 1),
    "attnres": ("attnres", {}, None, 1),
    "block": ("attnres_block", {"mixer.block_size": 3}, None, 1),
    "highway": ("highway", {"mixer.gate_bias": '"uniform"'}, "standard", 1),
    "highway-depth": ("highway", {"mixer.gate_bias": '"depth"'}, None, 1),
    "hyper": ("hyper", {}, None, 1),
    "denseformer": ("denseformer", {}, None, 1),
    "mhc": ("mhc", {}, None, 1),
    "frozen": ("attnres", {"mixer.freeze": '["query"]'}, "standard", 24),
    **{
        f"frozen{b}": (
            "attnres_block",
            {"mixer.freeze": '["query"]', "mixer.block_size": b},
            "standard",
            24 / b,
        )
        for b in (2, 3, 6)
    },
}


def make_study(folder, seeds=(1, 2, 3)):
    """Runs of the study, and what scripts/dilution makes of them but for the pictures' pixels."""
    for name, (mixer, settings, like, books) in VARIANTS.items():
        for seed in seeds:
            synthetic.make_run(
                folder / "runs" / f"{name}-s{seed}",
                mixer,
                seed,
                steps=200,
                settings={"train.lr": 0.001, **settings},
                schema=2,
                like=like,
                books=books,
            )
    for seed in seeds:
        synthetic.make_run(
            folder / "runs-rounding" / f"standard-nudged-s{seed}",
            "standard",
            seed,
            steps=200,
            settings={"train.lr": 0.0010000002},
            schema=2,
            drift=0.004 * (-1) ** seed,
        )
    names = "table,forest,loss_curves,shares,reads,gradients,bookkeeping"
    page, runs = folder / "page", folder / "runs"
    plain = [str(p) for p in sorted(runs.glob("standard-s*"))] + [str(folder / "runs-rounding")]
    calls = (
        ([str(runs), "--without", "freeze"], page, names),
        ([str(runs), "--without", "^(?!standard$|.*freeze)"], page / "frozen", names),
        (
            [*plain, "--baseline", "standard lr=0.001"],
            page / "rounding",
            "table,forest,loss_curves",
        ),
    )
    for arguments, out, wanted in calls:
        with redirect_stdout(io.StringIO()):
            code = figures.main([*arguments, "-o", str(out), "--figures", wanted])
        assert code == 0, (out, code)


def call(folder):
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        return dilution_page.main([str(folder)]), err.getvalue()


class Numbers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.dir)
        make_study(cls.dir)
        cls.code, cls.err = call(cls.dir / "page")
        cls.text = (cls.dir / "page" / "README.md").read_text()

    def summaries(self, name, key="final_val_loss"):
        paths = (self.dir / "runs" / f"{name}-s{s}" / "summary.json" for s in (1, 2, 3))
        return np.array([json.loads(p.read_text())[key] for p in paths])

    def last_probe(self, name, seed, key):
        lines = (self.dir / "runs" / f"{name}-s{seed}" / "depth.jsonl").read_text().splitlines()
        records = [r for r in map(json.loads, lines) if r["step"] == 200]
        return np.array([r.get(key, np.nan) for r in records])

    def test_page_is_written(self):
        self.assertEqual((self.code, self.err), (0, ""))
        self.assertTrue(self.text.startswith("# PreNorm dilution, counted alike\n\nZero-query"))

    def test_difference_interval_and_holm_by_hand(self):
        difference = self.summaries("attnres") - self.summaries("standard")
        low, high = scipy_stats.t.interval(0.95, 2, difference.mean(), scipy_stats.sem(difference))
        p = [
            scipy_stats.ttest_rel(self.summaries(k), self.summaries("standard")).pvalue
            for k in ("attnres", "block")
        ]
        holm = p[0] * 2 if p[0] < p[1] else max(p[0], 2 * p[1])
        row = next(line for line in self.text.splitlines() if line.startswith("| `attnres` |"))
        cells = [c.strip().replace("−", "-") for c in row.split("|")]
        self.assertEqual(cells[4], f"{difference.mean():+.4f} [{low:+.4f}, {high:+.4f}]")
        self.assertEqual(cells[5], f"{holm:.2g}")

    def test_rounding_control_by_hand(self):
        self.assertIn("larger differs by 2.0e-3 at step 100, 4.0e-3 at step 200.", self.text)
        self.assertIn("0.0000 (frozen, 12 pairs), 0.0040 (the copy, 3 pairs)", self.text)

    def test_frozen_that_ends_elsewhere_is_said(self):
        copy = self.dir / "level"
        shutil.copytree(self.dir / "page", copy)
        path = copy / "frozen" / "forest.csv"
        lines = path.read_text().splitlines()
        for i, line in enumerate(lines[1:], 1):
            label, base, seed, _ = line.split(",")
            lines[i] = f"{label},{base},{seed},{0.01 + 1e-5 * int(seed)}"
        path.write_text("\n".join(lines) + "\n")
        self.assertEqual(call(copy), (0, ""))
        self.assertIn("from 0 (Holm over 4): none.", self.text)
        text = (copy / "README.md").read_text()
        self.assertIn("from 0 (Holm over 4): attnres, attnres_block block_size=2, ", text)

    def test_frozen_factor_and_write_share_by_hand(self):
        self.assertIn("24.0 (attnres), 12.0 (attnres_block block_size=2)", self.text)
        ratios = [
            self.last_probe("attnres", s, "write_share")[7:23].mean()
            / self.last_probe("standard", s, "write_share")[7:23].mean()
            for s in (1, 2, 3)
        ]
        mean = np.exp(np.mean(np.log(ratios)))
        self.assertIn(f"`attnres` {mean:.2f} [", self.text)

    def test_gradient_slope_by_hand(self):
        profiles = [self.last_probe("mhc", s, "dout_rms")[1:25] for s in (1, 2, 3)]
        slopes = [scipy_stats.linregress(np.arange(24), np.log(p)).slope for p in profiles]
        row = next(line for line in self.text.splitlines() if line.startswith("| `mhc` |"))
        self.assertIn(f"| {np.mean(slopes):.3f} ±".replace("-", "−"), row)

    def test_losses_that_are_not_equal_are_not_called_so(self):
        copy = self.dir / "copy"
        shutil.copytree(self.dir / "page", copy)
        path = copy / "frozen" / "loss_curves.csv"
        with path.open(newline="") as f:
            rows = list(csv.reader(f))
        first = min(int(r[3]) for r in rows[1:] if r[2] == "val")
        row = next(r for r in rows if "freeze" in r[0] and r[2:4] == ["val", str(first)])
        row[-1] = str(float(row[-1]) + 0.01)
        with path.open("w", newline="") as f:
            csv.writer(f).writerows(rows)
        code, err = call(copy)
        self.assertEqual((code, err.count("\n")), (4, 1))
        self.assertIn("frozen zero-query AttnRes starts with the losses of standard", err)

    def test_variants_and_seeds_that_are_not_there_are_said(self):
        part = self.dir / "part"
        shutil.copytree(self.dir / "page", part)
        for path in part.rglob("*.csv"):
            with path.open(newline="") as f:
                rows = list(csv.reader(f))
            gone = lambda r: "mhc" in r or "block_size=6" in r[0]  # noqa: E731
            if path.name == "forest.csv":
                rows = [r for r in rows if r[:3] != ["hyper", "standard", "3"]]
            with path.open("w", newline="") as f:
                csv.writer(f, lineterminator="\n").writerows(r for r in rows if not gone(r))
        self.assertEqual(call(part), (0, ""))
        text = (part / "README.md").read_text()
        self.assertIn("Not here: `mhc`, `attnres_block block_size=6 freeze=[query]`.", text)
        self.assertIn("Pairs where they are not 3: `hyper` 2.", text)

    def test_missing_file_is_named(self):
        code, err = call(self.dir)
        self.assertEqual((code, err.count("\n")), (4, 1))
        self.assertIn("is missing", err)


class Power(unittest.TestCase):
    def test_smallest_effect_is_found_four_times_in_five(self):
        d = study.smallest_effect(5, 0.05)
        rng = np.random.default_rng(1)
        x = rng.normal(d, 1, (20000, 5))
        found = np.mean(scipy_stats.ttest_1samp(x, 0, axis=1).pvalue < 0.05)
        self.assertAlmostEqual(found, 0.8, delta=0.01)


FOLDER = ROOT / "results" / "dilution"


@unittest.skipUnless((FOLDER / "forest.csv").exists(), "the study has no results yet")
class Published(unittest.TestCase):

    def test_page_is_what_its_files_give(self):
        from plumbplot.dilution_text import page

        self.assertEqual((FOLDER / "README.md").read_text(), page(FOLDER))

    def test_figures_of_the_page_exist(self):
        for name in re.findall(r"\]\(([^)]+\.png)\)", (FOLDER / "README.md").read_text()):
            self.assertTrue((FOLDER / name).exists(), name)


if __name__ == "__main__":
    unittest.main()
