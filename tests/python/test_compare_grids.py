"""plumb.compare over grids, first stages, curves and sizes, against recomputations. Run:
python3 -m unittest -v (here).
"""

import math
import sys
import unittest
from pathlib import Path

import numpy as np
from scipy import stats as scipy_stats

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "scripts")]

import plumb  # noqa: E402
from compare_case import Scratch, near  # noqa: E402
from plumb.comparison import curves  # noqa: E402
from plumb.reading.files import UsageError  # noqa: E402
from sweeps import DIVERGED  # noqa: E402


class Grids(Scratch):
    def grid(self, losses, **more):
        """losses: {(variant, point items): [loss]}"""
        s = self.sweep(
            dict.fromkeys(v for v, _ in losses), keys=["model.layers", "mixer.block_size"], **more
        )
        for (variant, point), values in losses.items():
            for seed, x in enumerate(values, 1):
                s.add(variant, seed, x, dict(point))
        return plumb.load(s.write())

    def test_a_key_that_the_baseline_does_not_read_matches_anything(self):
        runs = self.grid({
            ("base", (("model.layers", 6),)): [1.0, 1.1, 1.2],
            ("base", (("model.layers", 12),)): [0.8, 0.9, 1.0],
            ("block", (("model.layers", 6), ("mixer.block_size", 2))): [0.9, 1.0, 1.15],
            ("block", (("model.layers", 12), ("mixer.block_size", 2))): [0.7, 0.8, 0.95],
            ("block", (("model.layers", 12), ("mixer.block_size", 4))): [0.6, 0.7, 0.85],
        })  # fmt: skip
        found = plumb.compare(runs)
        self.assertEqual(
            {r.label: r.baseline for r in found.rows},
            {
                "base layers=6": None, "base layers=12": None,
                "block layers=6 block_size=2": "base layers=6",
                "block layers=12 block_size=2": "base layers=12",
                "block layers=12 block_size=4": "base layers=12",
            },
        )  # fmt: skip
        near(self, found.rows[4].difference, np.mean([-0.2, -0.2, -0.15]))
        over = {r.label: r for r in found.overall}
        self.assertEqual(list(over), ["base", "block block_size=2", "block block_size=4"])
        two = over["block block_size=2"]
        self.assertEqual((two.n_pairs, two.unit), (2, "points"))
        near(
            self,
            two.difference,
            np.mean([np.mean([-0.1, -0.1, -0.05]), np.mean([-0.1, -0.1, -0.05])]),
        )

    def test_over_sizes_the_size_is_the_unit(self):
        rng = np.random.default_rng(3)
        losses = {}
        for layers in (2, 4, 6, 8):
            losses["base", (("model.layers", layers),)] = rng.normal(1.5, 0.01, 3).tolist()
            losses["v", (("model.layers", layers),)] = rng.normal(1.46, 0.01, 3).tolist()
        runs = self.grid(losses)
        found = plumb.compare(runs)
        d = [r.difference for r in found.rows if r.variant == "v"]
        row = found.overall[1]
        ends = scipy_stats.t.interval(0.95, 3, np.mean(d), scipy_stats.sem(d))
        near(self, [row.low, row.high, row.p], [*ends, scipy_stats.ttest_1samp(d, 0).pvalue])
        by = plumb.compare(runs, by=["variant"])
        self.assertEqual([r.label for r in by.rows], ["base", "v"])
        self.assertIn("; 4 points of the grid, paired;", by.headline)
        self.assertEqual((by.matched, by.pairing), (found.matched, found.pairing))
        near(self, by.rows[1].difference, row.difference)
        self.assertEqual(len(plumb.compare(runs, by=["model.layers"]).rows), 8)
        with self.assertRaisesRegex(UsageError, "there are: model.layers"):
            plumb.compare(runs, by=["model.width"])

    def test_no_early_look_at_the_sum(self):
        rng = np.random.default_rng(3)
        losses = {}
        for layers in (2, 4, 6, 8):
            losses["base", (("model.layers", layers),)] = rng.normal(1.5, 0.01, 3).tolist()
            losses["v", (("model.layers", layers),)] = rng.normal(1.2, 0.01, 3).tolist()
        self.assertEqual(plumb.compare(self.grid(losses, looks=[3])).overall[1].verdict, "better")
        found = plumb.compare(self.grid(losses, looks=[5]))
        self.assertEqual(found.overall[1].verdict_text, "interim: 3 of 5 seeds")

    def test_two_baselines_could_be(self):
        runs = self.grid({
            ("base", (("mixer.block_size", 2),)): [1.0, 1.1, 1.2],
            ("base", (("mixer.block_size", 4),)): [1.0, 1.1, 1.2],
            ("plain", ()): [0.9, 1.0, 1.15],
        })  # fmt: skip
        found = plumb.compare(runs)
        self.assertIn("2 runs of 'base' could be its baseline", found.warnings[0])
        one = {r.label: r for r in plumb.compare(runs, baseline="base block_size=4").rows}
        self.assertEqual(one["plain"].baseline, "base block_size=4")

    def test_orphans_with_all(self):
        s = self.sweep()
        for seed in range(1, 4):
            s.add("base", seed, 1.0 + 0.1 * seed)
            s.add("v", seed, 0.9 + 0.11 * seed)
            s.add("gone", seed, 0.5 + 0.12 * seed, current=False)
        runs = plumb.load(s.write())
        found = plumb.compare(runs)
        self.assertEqual([r.label for r in found.rows], ["base", "v"])
        self.assertEqual(len(found.left_out), 3)
        rows = plumb.compare(plumb.load(s.folder), everything=True).rows
        self.assertEqual(
            [(r.label, r.n) for r in rows], [("base", 3), ("v", 3), ("gone (orphan)", 3)]
        )

    def test_tuned_keys_do_not_make_rows(self):
        s = self.sweep(("base", "v"), (1, 2, 3))
        s.says["tune"] = {
            "keys": ["train.lr"],
            "values": {"train.lr": [0.001, 0.002]},
            "seeds": [101, 102],
            "per": ["variant"],
            "winners": [
                {
                    "variant": "v",
                    "group": {},
                    "chosen": {"train.lr": 0.002},
                    "edge": "largest",
                    "key": "train.lr",
                }
            ],
        }
        for lr, losses in ((0.001, (1.5, 1.6)), (0.002, (1.2, DIVERGED))):
            for seed, x in zip((101, 102), losses):
                s.add("v", seed, x, {"train.lr": lr}, "tune")
        for seed in (1, 2, 3):
            s.add("base", seed, 1.4 + 0.01 * seed, {"train.lr": 0.001})
            s.add("v", seed, 1.3 + 0.011 * seed, {"train.lr": 0.002})
        found = plumb.compare(plumb.load(s.write()))
        self.assertEqual(
            [(r.label, r.tuned) for r in found.rows],
            [("base", {"train.lr": 0.001}), ("v", {"train.lr": 0.002})],
        )
        self.assertEqual(found.rows[1].baseline, "base")
        self.assertEqual(
            [(t.values["train.lr"], t.n, t.n_diverged, t.chosen, t.edge) for t in found.tuning],
            [(0.001, 2, 0, False, ""), (0.002, 1, 1, True, "largest")],
        )
        self.assertEqual((found.tuning[0].seeds, found.tuning[0].losses), ([101, 102], [1.5, 1.6]))
        near(self, found.tuning[0].mean, 1.55)
        self.assertIn(
            "lr=0.002 is the largest tried for v: the best may lie beyond, widen [tune]",
            found.warnings,
        )

    def test_one_choice_for_all_variants(self):
        s = self.sweep(("base", "v"), (1, 2, 3))
        s.says["tune"] = {
            "keys": ["train.lr", "train.warmup"],
            "values": {},
            "seeds": [101],
            "per": ["model.layers"],
            "winners": [
                {
                    "variant": "",
                    "group": {"model.layers": 6},
                    "chosen": {"train.lr": 0.002, "train.warmup": 7},
                    "edge": "smallest",
                    "key": "train.warmup",
                }
            ],
        }
        for variant in ("base", "v"):
            for lr in (0.001, 0.002):
                point = {"model.layers": 6, "train.lr": lr, "train.warmup": 7}
                run = s.add(variant, 101, 1.0 + lr, point, "tune")
        (s.folder / run["dir"] / "CULLED").touch()
        found = plumb.compare(plumb.load(s.write()))
        self.assertEqual(
            [(t.label, t.n, t.n_culled, t.chosen) for t in found.tuning],
            [("all variants layers=6", 2, 0, False), ("all variants layers=6", 1, 1, True)],
        )
        self.assertTrue(
            found.warnings[0].startswith("warmup=7 is the smallest tried for all variants")
        )

    def test_the_test_split_is_taken_where_a_first_stage_chose_on_val(self):
        s = self.sweep(("base", "v"), (1, 2, 3))
        s.says["tune"] = {"keys": ["train.lr"], "values": {}, "seeds": [], "per": [], "winners": []}
        for seed in (1, 2, 3):
            s.add("base", seed, 1.0, final_test_loss=2.0 + 0.1 * seed)
            s.add("v", seed, 1.0, final_test_loss=1.9 + 0.11 * seed)
            s.add("v", 100 + seed, 5.0, {"train.lr": 1}, "tune", final_test_loss=2.0)
        found = plumb.compare(plumb.load(s.write()))
        self.assertEqual(found.metric, "final_test_loss")
        self.assertEqual(found.tuning[0].mean, 5.0)  # what chose
        near(self, found.rows[1].mean, 1.9 + 0.22)
        self.assertIn("test split", found.notes[0])

    def test_other_metrics_are_exploratory(self):
        losses = {"base": [1.0, 1.1, 1.2], "v": [0.7, 0.81, 0.92]}
        s = self.sweep(losses, (1, 2, 3), margin=0.02)
        for variant, values in losses.items():
            for seed, x in enumerate(values, 1):
                s.add(variant, seed, x, best_val_loss=x - 0.1)
        runs = plumb.load(s.write())
        self.assertEqual(plumb.compare(runs).rows[1].verdict, "better")
        other = plumb.compare(runs, metric="best_val_loss")
        self.assertTrue(other.exploratory)
        self.assertIn("not the declared outcome: exploratory, BH q for p", other.notes[0])
        self.assertEqual((other.margin, plumb.compare(runs).margin), (0, 0.02))
        self.assertEqual(other.rows[1].verdict, "exploratory")
        both = plumb.compare(runs, metric="final_val_loss,best_val_loss")
        self.assertEqual(both.rows[1].verdict, "better")
        self.assertEqual(
            [(r.metric, r.verdict) for r in both.secondary],
            [("best_val_loss", "baseline"), ("best_val_loss", "exploratory")],
        )
        with self.assertRaisesRegex(UsageError, "the runs have best_val_loss, final_val_loss"):
            plumb.compare(runs, metric="nope")


class Curves(Scratch):
    TOKENS = [0.0, 100.0, 200.0, 400.0, 800.0]

    def runs(self, steep=(1.0, 1.25), noise=0.0, schedule="constant"):
        s = self.sweep(("base", "v"), (1, 2, 3))
        rng = np.random.default_rng(1)
        for variant, m in zip(("base", "v"), steep):
            for seed in (1, 2, 3):
                shift = rng.normal(0, noise) if noise else 0.0
                curve = [
                    (t, 5.0 if t == 0 else 4 - 0.3 * math.log(t * m / 100) + shift)
                    for t in self.TOKENS
                ]
                s.add(
                    variant,
                    seed,
                    curve[-1][1],
                    curve=curve,
                    tokens=800.0,
                    speed=100.0 if m == 1 else 50.0,
                    settings={"train.schedule": schedule},
                    plan={"flops_per_token": 10.0 * m},
                )
        return plumb.load(s.write())

    def test_ratios_to_reach_a_loss(self):
        """In log tokens these curves are straight: v needs 1 / 1.25 of the tokens."""
        found = {r.measure: r for r in plumb.compare(self.runs()).curves}
        near(self, found["tokens"].target, 4 - 0.3 * math.log(8))
        near(self, found["tokens"].ratio, 0.8)
        near(self, found["steps"].ratio, 0.8)
        near(self, found["time"].ratio, 1.6)
        near(self, found["flops"].ratio, 1.0)
        self.assertEqual((found["tokens"].reached, found["tokens"].of), (3, 3))
        mean = (4 - 0.3 * math.log(8) + 4) / 2
        near(self, found["area"].ratio, (mean - 0.3 * math.log(1.25)) / mean)

    def test_intervals_are_of_the_log_ratio(self):
        runs = self.runs(noise=0.01)
        row = next(r for r in plumb.compare(runs).curves if r.measure == "tokens")
        base, v = ([r for r in runs if r.variant == k] for k in ("base", "v"))
        near(self, row.target, max(r.val_curve[1].min() for r in base))
        logs = np.log(
            [
                curves.tokens_to(a, row.target) / curves.tokens_to(b, row.target)
                for a, b in zip(v, base)
            ]
        )
        ends = scipy_stats.t.interval(0.95, 2, logs.mean(), scipy_stats.sem(logs))
        near(self, [row.ratio, row.low, row.high], np.exp([logs.mean(), *ends]))
        near(self, row.p, scipy_stats.ttest_1samp(logs, 0).pvalue)

    def test_costs_beyond_all_numbers_have_no_ratio(self):
        s = self.sweep(("base", "v"), (1, 2, 3))
        for variant in ("base", "v"):
            for seed in (1, 2, 3):
                s.add(variant, seed, 1.5, curve=[(1.0, 3.0), (1e308, 1.5)], tokens=1e308,
                      plan={"flops_per_token": 100.0 if variant == "base" else 1.0})  # fmt: skip
        found = {r.measure: r for r in plumb.compare(plumb.load(s.write())).curves}
        near(self, found["tokens"].ratio, 1.0)
        self.assertTrue(math.isnan(found["flops"].ratio))

    def test_not_all_get_there(self):
        row = next(r for r in plumb.compare(self.runs((1.0, 0.5))).curves if r.measure == "tokens")
        self.assertEqual((row.reached, row.of), (0, 3))
        self.assertTrue(math.isnan(row.ratio))
        reached = next(
            r
            for r in plumb.compare(self.runs((1.0, 0.5)), to_loss=3.9).curves
            if r.measure == "tokens"
        )
        near(self, reached.ratio, 2.0)

    def test_at_a_budget(self):
        runs = self.runs(noise=0.01)
        for at, tokens in (
            ("tokens=300", (300, 300)),
            ("time=4", (400, 200)),
            ("flops=3000", (300, 240)),
        ):
            found = plumb.compare(runs, at=at)
            self.assertTrue(found.exploratory)
            for row, t, m in zip(found.rows, tokens, (1.0, 1.25)):
                for seed, run in zip((1, 2, 3), row.runs):
                    shift = run.val_curve[1][1] - (4 - 0.3 * math.log(m))
                    near(self, row.values[seed], 4 - 0.3 * math.log(t * m / 100) + shift)
        with self.assertRaisesRegex(UsageError, "no validation curve reaches that far"):
            plumb.compare(runs, at="tokens=1e6")
        for wrong in ("tokens", "steps=3", "time=x", "time=-1", "time=inf"):
            with self.assertRaises(UsageError):
                plumb.compare(runs, at=wrong)

    def test_a_decaying_schedule_gets_its_caveat(self):
        notes = lambda schedule: " ".join(plumb.compare(self.runs(schedule=schedule)).notes)  # noqa: E731
        self.assertIn("train.schedule = cosine", notes("cosine"))
        self.assertEqual(notes("wsd"), "")

    def test_a_damaged_log_costs_its_curve_alone(self):
        runs = self.runs()
        path = runs[-1].path / "metrics.jsonl"
        path.write_text(path.read_text().replace('"val/loss": 5.0', '"val/loss": "x"'))
        found = plumb.compare(plumb.load(runs.sweep.path))
        self.assertEqual(found.rows[1].n_pairs, 3)
        self.assertTrue(math.isnan(next(r for r in found.curves if r.measure == "tokens").ratio))


class Sizes(Scratch):
    def scaling(self, law, own=lambda c: 1.0, sizes=5, noise=0.0, n=3):
        s = self.sweep(("base", "v"), range(1, n + 1), keys=["model.layers"])
        rng = np.random.default_rng(4)
        for layers, c in enumerate(np.geomspace(1, 16, sizes), 1):
            for variant, m in (("base", 1.0), ("v", 1.25)):
                for seed in range(1, n + 1):
                    s.add(
                        variant,
                        seed,
                        law(c * m) + rng.normal(0, noise),
                        {"model.layers": layers},
                        plan={"flops_per_token": c * (1.0 if variant == "base" else own(c))},
                        tokens=100.0,
                    )
        return {x.variant: x for x in plumb.compare(plumb.load(s.write())).scaling}

    def test_a_power_law_is_found(self):
        found = self.scaling(lambda c: 2 * c**-0.06)
        near(self, found["base"].exponent, 0.06)
        near(self, found["base"].A, 2 * 100**0.06)
        near(self, found["v"].multiplier, 1.25)
        self.assertEqual((found["v"].n_sizes, found["base"].E), (5, "not identified"))

    def test_interval_is_over_sizes(self):
        found = self.scaling(lambda c: 1.5 * c**-0.15 + 1.2, noise=0.003)["v"]
        logs = np.log(list(found.multipliers.values()))
        ends = scipy_stats.t.interval(0.95, 4, logs.mean(), scipy_stats.sem(logs))
        near(self, [found.multiplier, found.low, found.high], np.exp([logs.mean(), *ends]))
        self.assertTrue(0.9 < found.multiplier < 1.6)

    def test_slopes_are_local(self):
        """Of the loss with a floor the same difference is more compute where the curve is flat."""
        law = lambda c: 1.5 * c**-0.15 + 1.2  # noqa: E731
        found = self.scaling(law)["v"]
        c = np.geomspace(1, 16, 5)
        base, v = np.log(law(c)), np.log(law(1.25 * c))
        a, b, _ = np.polyfit(np.log(c), (base + v) / 2, 2)
        exact = np.exp((base - v) / -(2 * a * np.log(c) + b))
        np.testing.assert_allclose(list(found.multipliers.values()), exact, rtol=1e-9)
        self.assertLess(np.ptp(exact), 0.02)

    def test_an_irreducible_loss_is_said_to_be_seen_or_not(self):
        self.assertEqual(self.scaling(lambda c: 1.5 * c**-0.15 + 1.2)["base"].E, "identified")
        self.assertEqual(
            self.scaling(lambda c: 1.5 * c**-0.15 + 1.2, noise=0.05)["base"].E, "not identified"
        )
        self.assertEqual(
            self.scaling(lambda c: 1.5 * c**-0.15 + 1.2, sizes=4)["base"].E, "not identified"
        )

    def test_too_few_sizes(self):
        found = self.scaling(lambda c: 2 * c**-0.06, sizes=3)["v"]
        self.assertTrue(math.isnan(found.multiplier))
        self.assertEqual(found.note, "3 sizes; a multiplier needs 4")

    def test_a_loss_that_rises_has_no_multiplier(self):
        self.assertIn("does not fall", self.scaling(lambda c: 2 * c**0.06)["v"].note)

    def test_other_compute_of_the_variant_is_said(self):
        self.assertIn(
            "differs by up to 20%",
            self.scaling(lambda c: 2 * c**-0.06, own=lambda c: 1.2)["v"].note,
        )


if __name__ == "__main__":
    unittest.main()
