"""scripts/figures.py: numbers in its tables against hand-computed ones, odd runs, errors. Run:
python3 -m unittest -v (here).
"""

import csv
import io
import json
import shutil
import sys
import tempfile
import unittest
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
from scipy import stats as scipy_stats

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "scripts")]

import figures  # noqa: E402
import synthetic  # noqa: E402
from plumb import stats  # noqa: E402
from plumb.figures import caption, forest, reference  # noqa: E402
from plumb.reading import groups  # noqa: E402
from with_program import needs_program  # noqa: E402


def call(*arguments):
    """(exit code, stdout, stderr) of figures.py with these arguments."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = figures.main([str(a) for a in ("--quiet", *arguments)])
    return code, out.getvalue(), err.getvalue()


def read_csv(path):
    with open(path, newline="") as f:
        return list(csv.DictReader(f))


FIGURES = (
    "loss_curves",
    "forest",
    "shares",
    "reads",
    "gradients",
    "matrix",
    "magnitudes",
    "write_share_over_training",
)


class Scratch(unittest.TestCase):
    def setUp(self):
        self.dir = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir)


class Everything(unittest.TestCase):
    """One call on seven mixers x three seeds, one of them diverged, and what it wrote."""

    @classmethod
    def setUpClass(cls):
        cls.dir = Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.dir)
        cls.summaries = synthetic.make_set(cls.dir / "runs", schema=2)
        shutil.rmtree(cls.dir / "runs" / "hyper-3")
        synthetic.make_run(cls.dir / "runs" / "hyper-3", "hyper", 3, status="diverged")
        paper = {f"{q}_{v}": [1.0, 2.0, 4.0] for q in reference.QUANTITIES for v in reference.PAPER}
        (cls.dir / "paper.json").write_text(json.dumps(paper))
        cls.out = cls.dir / "new" / "out"
        cls.code, cls.text, cls.err = call(
            cls.dir / "runs", "-o", cls.out, "--title", "T", "--reference", cls.dir / "paper.json"
        )

    def test_every_figure_in_two_formats_with_its_csv(self):
        self.assertEqual((self.code, self.err), (0, ""))
        for name in FIGURES + ("reference",):
            for kind, magic in (("svg", b"<?xml"), ("png", b"\x89PNG")):
                self.assertTrue((self.out / f"{name}.{kind}").read_bytes().startswith(magic), name)
            self.assertGreater(len(read_csv(self.out / f"{name}.csv")), 10)
            self.assertIn(f"wrote: {self.out / name}.svg", self.text)

    def test_progress_on_standard_error(self):
        err = io.StringIO()
        with redirect_stdout(io.StringIO()), redirect_stderr(err):
            out = self.dir / "progress"
            names = "--figures", "forest,table"
            figures.main([str(self.dir / "runs"), "-o", str(out), *names])
        lines = ["figures.py: reading 21 runs", "figures.py: drawing forest (1 of 1)"]
        self.assertEqual(err.getvalue().splitlines(), lines)

    @needs_program
    def test_results_table(self):
        rows = {r["label"]: r for r in read_csv(self.out / "results.csv")}
        self.assertEqual(list(rows), list(synthetic.MIXERS))
        final = {
            m: [self.summaries[m, s]["final_val_loss"] for s in (1, 2, 3)] for m in synthetic.MIXERS
        }
        self.assertAlmostEqual(
            float(rows["mhc"]["final_val_loss"]), np.mean(final["mhc"]), places=6
        )
        low, high = scipy_stats.t.interval(0.95, 2, 0, scipy_stats.sem(final["mhc"]))
        self.assertAlmostEqual(float(rows["mhc"]["final_val_loss_half_95"]), high, places=6)
        self.assertAlmostEqual(
            float(rows["mhc"]["difference"]),
            np.mean(np.subtract(final["mhc"], final["standard"])),
            places=6,
        )
        self.assertAlmostEqual(
            float(rows["mhc"]["p"]),
            scipy_stats.ttest_rel(final["mhc"], final["standard"]).pvalue,
            places=6,
        )
        self.assertEqual(rows["standard"]["difference"], "")
        self.assertEqual(
            (rows["hyper"]["n_seeds"], rows["hyper"]["n_diverged"], rows["hyper"]["n_pairs"]),
            ("2", "1", "2"),
        )
        self.assertEqual(rows["hyper"]["note"], "n<3, 1 diverged")
        self.assertEqual(rows["mhc"]["note"], "")
        p = [float(r["p"]) for r in rows.values() if r["p"]]
        np.testing.assert_allclose(
            [float(r["p_holm"]) for r in rows.values() if r["p"]], stats.holm(p), rtol=1e-6
        )

    def test_gradient_figures_by_hand(self):
        slopes, variations = [], []
        for seed in (1, 2, 3):
            lines = (self.dir / "runs" / f"attnres-{seed}" / "depth.jsonl").read_text().splitlines()
            last = {r["depth"]: r for r in map(json.loads, lines) if r["step"] == 1000}
            dout = np.array([last[d]["dout_rms"] for d in range(1, 25)])
            slopes.append(scipy_stats.linregress(np.arange(24), np.log(dout)).slope)
            variations.append(np.sqrt(np.mean((dout - dout.mean()) ** 2)) / dout.mean())
        row = next(r for r in read_csv(self.out / "results.csv") if r["label"] == "attnres")
        self.assertAlmostEqual(float(row["gradient_log_slope"]) / np.mean(slopes), 1, places=6)
        self.assertAlmostEqual(float(row["gradient_variation"]) / np.mean(variations), 1, places=6)
        shown = next(
            r
            for r in read_csv(self.out / "gradients.csv")
            if (r["label"], r["seed"], r["depth"]) == ("attnres", "3", "5")
        )
        self.assertAlmostEqual(float(shown["dout_rms"]) / last[5]["dout_rms"], 1.0, places=6)

    def test_forest_csv(self):
        rows = [r for r in read_csv(self.out / "forest.csv") if r["label"] == "hyper"]
        self.assertEqual([r["seed"] for r in rows], ["1", "2"])  # seed 3 diverged
        expected = (
            self.summaries["hyper", 2]["final_val_loss"]
            - self.summaries["standard", 2]["final_val_loss"]
        )
        self.assertAlmostEqual(float(rows[1]["difference_nats"]), expected, places=8)

    def test_matrix_csv(self):
        rows = [
            r
            for r in read_csv(self.out / "matrix.csv")
            if r["label"] == "attnres" and r["seed"] == "1"
        ]
        self.assertEqual(len(rows), 25 * 26 // 2)
        sums = {}
        for r in rows:
            sums[r["sublayer"]] = sums.get(r["sublayer"], 0.0) + float(r["share"])
        np.testing.assert_allclose(list(sums.values()), 1.0, atol=1e-5)
        self.assertEqual(
            [rows[0]["site"], rows[1]["site"], rows[-1]["site"]],
            ["layer.0.attn", "layer.0.mlp", "output"],
        )

    def test_reference_csv(self):
        rows = [
            r
            for r in read_csv(self.out / "reference.csv")
            if r["source"] == "paper" and r["label"] == "standard"
        ]
        self.assertEqual([float(r["value_over_last"]) for r in rows[:3]], [0.25, 0.5, 1.0])
        mine = [
            r
            for r in read_csv(self.out / "reference.csv")
            if r["source"] == "run" and r["label"] == "standard"
        ]
        self.assertEqual((len(mine), float(mine[11]["value_over_last"])), (24, 1.0))

    @needs_program
    def test_markdown_and_terminal_table(self):
        text = (self.out / "results.md").read_text()
        self.assertTrue(text.startswith("# T\n"))
        self.assertEqual(
            len({line.count("|") for line in text.splitlines() if line.startswith("|")}), 1
        )
        self.assertIn("hyper-3: diverged", text)
        self.assertIn("attnres_block", self.text.splitlines()[7])
        self.assertRegex(self.text, "left out .*hyper-3: diverged")


class OddRuns(Scratch):
    def test_run_without_probes_still_gives_losses_and_says_what_is_missing(self):
        run = self.dir / "r"
        synthetic.make_run(run, "highway", 1, n=4, steps=200, probe_every=0)
        shutil.rmtree(run / "matrix")
        code, text, err = call(run, "-o", self.dir / "out")
        self.assertEqual((code, err), (0, ""))
        self.assertTrue((self.dir / "out" / "loss_curves.png").exists())
        for name in (n for n in FIGURES if n != "loss_curves"):
            self.assertIn(f"skipped {name}: ", text)
            self.assertFalse((self.dir / "out" / f"{name}.svg").exists())

    def test_old_run_is_read(self):
        synthetic.make_run(self.dir / "r", "highway", 1, n=4, steps=200, schema=1)
        code, text, err = call(self.dir / "r", "-o", self.dir / "out")
        self.assertEqual((code, err), (0, ""))
        self.assertEqual(read_csv(self.dir / "out" / "results.csv")[0]["tok_per_s"], "72727.2727")

    def test_same_label_and_seed_twice(self):
        synthetic.make_run(self.dir / "a", "mhc", 1, n=4)
        synthetic.make_run(self.dir / "b", "mhc", 1, n=4)
        code, _, err = call(self.dir, "-o", self.dir / "out")
        self.assertEqual(code, 2)
        self.assertIn("seed 1", err)

    def test_missing_run_is_exit_4_with_what_to_type(self):
        code, _, err = call(self.dir / "nowhere", "-o", self.dir / "out")
        self.assertEqual(code, 4)
        self.assertIn("nowhere", err)
        self.assertIn("plumb train --out", err)
        self.assertEqual(err.count("\n"), 1)
        self.assertEqual(call(self.dir, "-o", self.dir / "out")[0], 4)

    def test_usage_errors_are_exit_2(self):
        with self.assertRaises(SystemExit) as raised, redirect_stderr(io.StringIO()):
            figures.main([str(self.dir)])
        self.assertEqual(raised.exception.code, 2)
        synthetic.make_run(self.dir / "r", "mhc", 1, n=4, steps=100)
        code, _, err = call(self.dir / "r", "-o", self.dir / "out", "--baseline", "nothing")
        self.assertEqual(code, 2)
        self.assertIn("mhc", err)

    def test_caption_of_the_forest_counts_pairs(self):
        for name, mixer, seed in (("a", "standard", 1), ("b", "mhc", 1), ("c", "mhc", 2)):
            synthetic.make_run(self.dir / name, mixer, seed, n=4, steps=200)
        call(self.dir, "-o", self.dir / "out", "--figures", "forest")
        pairs = forest.pairs_of(groups.load([self.dir]))
        self.assertEqual([r.seed for r in pairs["mhc"][0]], [1])
        self.assertEqual(len(read_csv(self.dir / "out" / "forest.csv")), 1)
        self.assertIn("n = 1 seed,", caption.of({k: runs for k, (runs, _) in pairs.items()}))

    def test_chosen_figures_and_variants(self):
        synthetic.make_run(self.dir / "a", "standard", 1, n=4, steps=200)
        synthetic.make_run(self.dir / "b", "mhc", 1, n=4, steps=200)
        out = self.dir / "out"
        code, text, _ = call(
            self.dir, "-o", out, "--figures", "gradients,magnitudes", "--without", "^m"
        )
        self.assertEqual(code, 0)
        names = {"gradients", "magnitudes"}
        self.assertEqual({p.stem for p in out.iterdir()}, names)
        self.assertEqual({r["label"] for r in read_csv(out / "gradients.csv")}, {"standard"})
        code, _, err = call(self.dir, "-o", out, "--figures", "gradient")
        self.assertEqual((code, err.count("\n")), (2, 1))
        self.assertIn("there are loss_curves, forest", err)

    def test_bad_reference_file(self):
        synthetic.make_run(self.dir / "r", "standard", 1, n=4, steps=100)
        (self.dir / "p.json").write_text("{}")
        code, _, err = call(
            self.dir / "r", "-o", self.dir / "out", "--reference", self.dir / "p.json"
        )
        self.assertEqual(code, 4)
        self.assertIn("fig5b_output_magnitude_baseline", err)


if __name__ == "__main__":
    unittest.main()
