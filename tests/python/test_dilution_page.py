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

import results_page  # noqa: E402
import dilution_twins  # noqa: E402
import figures  # noqa: E402
import synthetic  # noqa: E402
from plumb import stats  # noqa: E402
from plumb.pages import study  # noqa: E402

VARIANTS = {  # name: mixer, settings, the mixer whose numbers it gets
    "standard": ("standard", {}, None),
    "attnres": ("attnres", {}, None),
    "block": ("attnres_block", {"mixer.block_size": 3}, None),
    "highway": ("highway", {"mixer.gate_bias": '"uniform"'}, "standard"),
    "highway-depth": ("highway", {"mixer.gate_bias": '"depth"'}, None),
    "hyper": ("hyper", {}, None),
    "denseformer": ("denseformer", {}, None),
    "mhc": ("mhc", {}, None),
}
TWINS = {  # beside standard: settings, division of its reads
    "standard": ("standard", {}, 1),
    "frozen": ("attnres", {"mixer.freeze": '["query"]'}, 24),
    **{
        f"frozen{b}": (
            "attnres_block",
            {"mixer.freeze": '["query"]', "mixer.block_size": b},
            24 / b,
        )
        for b in (2, 3, 6)
    },
}
STEPS = (0, 100, 200)


def make_twin(path, name, seed, step):
    """One with the weights that standard of this seed has at `step`: its numbers at its step 0; the
    loss is off by 1e-8 of the seed.
    """
    mixer, settings, books = TWINS[name]
    start = {"train.init_from": f'"runs/standard-s{seed}@{step}"'} if step else {}
    settings = {"train.lr": 1e-30, **settings, **start}
    synthetic.make_run(path, mixer, seed, steps=50, probe_every=0, settings=settings, schema=2)
    rng = np.random.default_rng([seed, step])
    records = list(synthetic.depth_records("standard", 24, 0, step / 200, rng, books))
    lines = [{**r, "step": s} for s in (0, 50) for r in records]
    synthetic.write_lines(path / "depth.jsonl", lines)
    loss = 2 - step / 200 + 1e-8 * seed * (name != "standard")
    rest = (path / "metrics.jsonl").read_text()
    synthetic.write_lines(path / "metrics.jsonl", [{"step": 0, "tokens": 0, "val/loss": loss}])
    with (path / "metrics.jsonl").open("a") as f:
        f.write(rest)
    raw = ("read_rms", "stream_rms", "contribution", "pgrad_hist")
    table = [
        {"key": k, "name": k, "unit": "1", "comparable": k not in raw}
        for k in sorted({k for r in records for k in r} - {"step", "depth", "site", "kind"})
    ]
    (path / "measures.json").write_text(json.dumps(table))


def make_twins(folder, seeds):
    for name in TWINS:
        for seed in seeds:
            for step in STEPS:
                make_twin(folder / f"{name}-s{seed}-at{step}", name, seed, step)


def make_study(folder, seeds=(1, 2, 3)):
    """Runs of the study, and what scripts/dilution makes of them but for the pictures' pixels."""

    def run(where, name, mixer, seed, settings, **more):
        synthetic.make_run(
            folder / where / f"{name}-s{seed}",
            mixer,
            seed,
            steps=200,
            settings={"train.lr": 0.001, **settings},
            schema=2,
            **more,
        )

    for seed in seeds:
        for name, (mixer, settings, like) in VARIANTS.items():
            run("runs", name, mixer, seed, settings, like=like)
        frozen = {"mixer.freeze": '["query"]'}
        frozen["record.label"] = '"attnres-frozen"'
        run("rounding", "frozen", "attnres", seed, frozen, like="standard", drift=0.003)
        nudge = {"train.lr": 0.0010000002, "record.label": '"standard-nudged"'}
        run("rounding", "nudged", "standard", seed, nudge, drift=0.004 * (-1) ** seed)
    make_twins(folder / "twins", seeds)
    page, runs = folder / "dilution", folder / "runs"
    plain = [str(p) for p in sorted(runs.glob("standard-s*"))] + [str(folder / "rounding")]
    last = [str(p) for p in sorted((folder / "twins").glob("*-at200"))]
    calls = (
        ([str(runs)], page, "table,forest,loss_curves,shares,reads,gradients"),
        (last, page / "twins", "bookkeeping"),
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
    with redirect_stdout(io.StringIO()) as table:
        assert dilution_twins.main([str(folder / "twins")]) == 0
    (page / "twins" / "twins.csv").write_text(table.getvalue())


def call(folder):
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        return results_page.main([str(folder)]), err.getvalue()


class Numbers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.dir)
        make_study(cls.dir)
        cls.code, cls.err = call(cls.dir / "dilution")
        cls.text = (cls.dir / "dilution" / "README.md").read_text()

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
        self.assertIn("by step 7.5e-4 at 50, 1.5e-3 at 100, 3.0e-3 at 200.", self.text)
        self.assertIn("is 2 in 10^7 larger: 1.0e-3 at 50, 2.0e-3 at 100, 4.0e-3 at 200.", self.text)
        self.assertIn("0.0030 (frozen, 3 pairs, mean +0.0030 [", self.text)
        self.assertIn("\n0.0040 (the copy, 3 pairs)", self.text)

    def test_without_the_control_nothing_is_said_of_it(self):
        copy = self.dir / "no-control" / "dilution"
        shutil.copytree(self.dir / "dilution", copy)
        shutil.rmtree(copy / "rounding")
        self.assertEqual(call(copy), (0, ""))
        self.assertNotIn("Trained apart", (copy / "README.md").read_text())

    def test_twins_by_hand(self):
        with (self.dir / "dilution" / "twins" / "twins.csv").open(newline="") as f:
            rows = list(csv.DictReader(f))
        self.assertEqual(len(rows), 4 * 3 * len(STEPS))
        row = next(
            r
            for r in rows
            if (r["variant"], r["seed"], r["step"]) == ("attnres_block block_size=3", "2", "100")
        )
        self.assertAlmostEqual(float(row["difference_nats"]), 2e-8, delta=1e-12)
        self.assertAlmostEqual(float(row["raw_ratio"]), 8, delta=1e-6)
        self.assertEqual(float(row["write_share"]), 0)
        self.assertIn("agree to **3.0e-8** nats at the worst of these 36 pairs", self.text)
        self.assertIn("steps 0, 100, 200; three seeds", self.text)

    def test_a_measure_that_differs_is_said_with_its_depth_and_scale(self):
        copy = self.dir / "other"
        shutil.copytree(self.dir / "twins", copy)
        path = copy / "frozen-s1-at100" / "depth.jsonl"
        records = [json.loads(line) for line in path.read_text().splitlines()]
        largest = max(r.get("write_share", 0) for r in records if r["step"] == 0)
        for r in records:
            if r["depth"] == 7:
                r["write_share"] += 0.01
        synthetic.write_lines(path, records)
        with redirect_stdout(io.StringIO()) as table:
            self.assertEqual(dilution_twins.main([str(copy)]), 0)
        rows = list(csv.DictReader(io.StringIO(table.getvalue())))
        worst = max(rows, key=lambda r: float(r["write_share"]))
        self.assertEqual((worst["variant"], worst["seed"], worst["step"]), ("attnres", "1", "100"))
        self.assertAlmostEqual(float(worst["write_share"]), 0.01 / largest, delta=1e-6)

    def test_frozen_factor_and_write_share_by_hand(self):
        self.assertIn("24.0 (`attnres`), 12.0 (`attnres_block block_size=2`)", self.text)
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
        copy = self.dir / "copy" / "dilution"
        shutil.copytree(self.dir / "dilution", copy)
        path = copy / "twins" / "twins.csv"
        with path.open(newline="") as f:
            rows = list(csv.reader(f))
        rows[5][rows[0].index("difference_nats")] = "-0.01"
        with path.open("w", newline="") as f:
            csv.writer(f).writerows(rows)
        code, err = call(copy)
        self.assertEqual((code, err.count("\n")), (4, 1))
        self.assertIn("frozen zero-query AttnRes has the losses of standard", err)

    def test_variants_and_seeds_that_are_not_there_are_said(self):
        part = self.dir / "part" / "dilution"
        shutil.copytree(self.dir / "dilution", part)
        for path in part.rglob("*.csv"):
            with path.open(newline="") as f:
                rows = list(csv.reader(f))
            gone = lambda r: "mhc" in r  # noqa: E731
            if path.name == "forest.csv":
                rows = [r for r in rows if r[:3] != ["hyper", "standard", "3"]]
            with path.open("w", newline="") as f:
                csv.writer(f, lineterminator="\n").writerows(r for r in rows if not gone(r))
        self.assertEqual(call(part), (0, ""))
        text = (part / "README.md").read_text()
        self.assertIn("Not here: `mhc`.", text)
        # What was declared counts in Holm's correction, whether it is here or not.
        p = {
            k: scipy_stats.ttest_rel(self.summaries(k), self.summaries("standard")).pvalue
            for k in ("highway-depth", "hyper", "denseformer", "mhc")
        }
        difference = (self.summaries("hyper") - self.summaries("standard"))[:2]
        p["hyper"] = scipy_stats.ttest_1samp(difference, 0).pvalue
        del p["mhc"]
        smallest = min(p, key=p.get)
        row = next(s for s in text.splitlines() if s.startswith("| `highway gate_bias=depth`"))
        self.assertEqual(smallest, "highway-depth")
        self.assertEqual(row.split(" | ")[4], f"{5 * p[smallest]:.2g}")
        self.assertIn("Pairs where they are not 3: `hyper` 2.", text)

    def test_missing_file_is_named(self):
        empty = self.dir / "empty" / "dilution"
        empty.mkdir(parents=True)
        code, err = call(empty)
        self.assertEqual((code, err.count("\n")), (4, 1))
        self.assertIn("is missing", err)

    def test_folder_without_a_page_is_told_which_there_are(self):
        code, err = call(self.dir)
        self.assertEqual((code, err.count("\n")), (4, 1))
        self.assertIn("there are dilution, noise", err)


class Power(unittest.TestCase):
    def test_smallest_effect_is_found_four_times_in_five(self):
        d = stats.smallest_effect(5, 0.05)
        rng = np.random.default_rng(1)
        x = rng.normal(d, 1, (20000, 5))
        found = np.mean(scipy_stats.ttest_1samp(x, 0, axis=1).pvalue < 0.05)
        self.assertAlmostEqual(found, 0.8, delta=0.01)


FOLDER = ROOT / "results" / "dilution"


class Published(unittest.TestCase):

    def test_page_is_what_its_files_give(self):
        from plumb.pages.dilution import page

        self.assertEqual((FOLDER / "README.md").read_text(), page(FOLDER))

    def test_figures_of_the_page_exist(self):
        for name in re.findall(r"\]\(([^)]+\.png)\)", (FOLDER / "README.md").read_text()):
            self.assertTrue((FOLDER / name).exists(), name)


if __name__ == "__main__":
    unittest.main()
