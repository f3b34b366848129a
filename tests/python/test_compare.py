"""plumb.compare: every number against a recomputation with scipy's and statsmodels' own tests, the
verdicts, and tables with holes. Run: python3 -m unittest -v (here).
"""

import importlib.util
import math
import sys
import unittest
from pathlib import Path

import numpy as np
from scipy import stats as scipy_stats

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "scripts")]

import plumb  # noqa: E402
from compare_case import NAN, Scratch, near  # noqa: E402
from plumb import stats  # noqa: E402
from plumb.comparison import compare as compare_module  # noqa: E402
from plumb.comparison import verdict  # noqa: E402
from plumb.reading.files import UsageError  # noqa: E402
from sweeps import DIVERGED, RUNNING  # noqa: E402
from with_program import needs_program  # noqa: E402

HAVE_STATSMODELS = importlib.util.find_spec("statsmodels") is not None


class Recomputed(Scratch):
    """To 1e-12 what scipy and statsmodels say of the same numbers."""

    def setUp(self):
        super().setUp()
        rng = np.random.default_rng(5)
        shared = rng.normal(0, 0.01, 5)
        shift = {"base": 0, "a": -0.02, "b": 0.004, "c": 0.03, "d": -0.001}
        self.losses = {k: 1.4 + x + shared + rng.normal(0, 0.005, 5) for k, x in shift.items()}
        self.found = self.rows({k: x.tolist() for k, x in self.losses.items()}, margin=0.006)
        self.p = {
            k: scipy_stats.ttest_rel(x, self.losses["base"]).pvalue
            for k, x in self.losses.items()
            if k != "base"
        }

    def test_paired_t(self):
        for k in self.p:
            row, d = self.found[k], self.losses[k] - self.losses["base"]
            ends = scipy_stats.t.interval(0.95, 4, d.mean(), scipy_stats.sem(d))
            near(self, [row.low, row.high, row.p, row.difference], [*ends, self.p[k], d.mean()])
            near(self, row.sd, d.std(ddof=1))
            near(self, row.correlation, np.corrcoef(self.losses[k], self.losses["base"])[0, 1])
            ends = scipy_stats.t.interval(0.9, 4, d.mean(), scipy_stats.sem(d))
            near(self, [row.same_low, row.same_high], ends)
            ends = scipy_stats.t.interval(
                0.95, 4, self.losses[k].mean(), scipy_stats.sem(self.losses[k])
            )
            near(self, [row.mean - row.half, row.mean + row.half], ends)

    def test_holm_and_benjamini_hochberg_by_their_definitions(self):
        p = np.array(list(self.p.values()))
        order = np.argsort(p)
        adjusted = np.empty(4)
        for rank, i in enumerate(order):
            adjusted[i] = min(1, max((4 - r) * p[order[r]] for r in range(rank + 1)))
        near(self, [self.found[k].p_adjusted for k in self.p], adjusted)
        q = np.empty(4)
        for rank, i in enumerate(order):
            q[i] = min(1, *(4 * p[order[r]] / (r + 1) for r in range(rank, 4)), 1)
        near(self, stats.benjamini_hochberg(p), q)
        with_gaps = [0.01, NAN, 0.04]
        self.assertEqual(stats.benjamini_hochberg(with_gaps)[0], 0.02)
        self.assertTrue(math.isnan(stats.benjamini_hochberg(with_gaps)[1]))

    @unittest.skipUnless(HAVE_STATSMODELS, "statsmodels is not here")
    def test_statsmodels(self):
        import statsmodels.api as sm
        from statsmodels.stats.multitest import multipletests
        from statsmodels.stats.proportion import proportion_confint
        from statsmodels.stats.weightstats import DescrStatsW

        p = list(self.p.values())
        near(self, [self.found[k].p_adjusted for k in self.p], multipletests(p, method="holm")[1])
        near(self, stats.benjamini_hochberg(p), multipletests(p, method="fdr_bh")[1])
        for k in self.p:
            d = DescrStatsW(self.losses[k] - self.losses["base"])
            near(self, [self.found[k].low, self.found[k].high], d.tconfint_mean(0.05))
            near(self, self.found[k].p, d.ttest_mean(0)[1])
            low, high = d.ttest_mean(-0.006, "larger")[1], d.ttest_mean(0.006, "smaller")[1]
            within = -0.006 < self.found[k].same_low and self.found[k].same_high < 0.006
            self.assertEqual(within, max(low, high) < 0.05)
        for k, n in ((0, 5), (2, 10), (5, 5)):
            near(self, stats.clopper_pearson(k, n), proportion_confint(k, n, method="beta"))
        arms = np.array(list(self.losses.values()))
        y, names, seeds = arms.ravel(), np.repeat(range(5), 5), np.tile(range(5), 5)
        design = np.column_stack(
            [np.ones(25)] + [names == i for i in range(1, 5)] + [seeds == i for i in range(1, 5)]
        )
        fit = sm.OLS(y, design.astype(float)).fit()
        for i, k in enumerate(self.p, 1):
            np.testing.assert_allclose(
                [self.found[k].pool_low, self.found[k].pool_high], fit.conf_int()[i], rtol=1e-11
            )

    def test_pooled_blocks(self):
        arms = np.array(list(self.losses.values()))
        rest = arms - arms.mean(1, keepdims=True) - arms.mean(0) + arms.mean()
        half = scipy_stats.t.ppf(0.975, 16) * math.sqrt(2 * (rest**2).sum() / 16 / 5)
        for k in self.p:
            d = self.losses[k].mean() - self.losses["base"].mean()
            near(self, [self.found[k].pool_low, self.found[k].pool_high], [d - half, d + half])
        self.assertTrue(math.isnan(stats.pooled_half([[1.0, 2.0]])))

    def test_clopper_pearson(self):
        for k, n in ((0, 5), (1, 5), (3, 3), (2, 10)):
            exact = scipy_stats.binomtest(k, n).proportion_ci(0.95, "exact")
            near(self, stats.clopper_pearson(k, n), (exact.low, exact.high))
        self.assertTrue(math.isnan(stats.clopper_pearson(0, 0)[0]))

    def test_seeds_needed_is_the_first_n_with_the_power(self):
        for effect, alpha in ((0.5, 0.05), (1.0, 0.05), (1.0, 0.05 / 6), (2.3, 0.01)):

            def power(n):
                t = scipy_stats.t.ppf(1 - alpha / 2, n - 1)
                return scipy_stats.nct.sf(t, n - 1, effect * math.sqrt(n))

            n = stats.seeds_needed(effect, alpha)
            self.assertTrue(power(n) >= 0.8 > power(n - 1), (effect, alpha, n))
        self.assertEqual(stats.seeds_needed(1.0, 0.05), 10)
        self.assertEqual(stats.seeds_needed(1.0, 0.05, 4), 6)
        self.assertEqual(stats.seeds_needed(1.0, 0.05, 12), 1)  # they were unlucky
        self.assertEqual(stats.seeds_needed(0.14, 0.05, 300), 403 - 300)
        for have in (0, 5, 1000):
            self.assertEqual(stats.seeds_needed(0.01, 0.05, have), stats.MOST_MORE_SEEDS + 1)
            self.assertEqual(stats.seeds_needed(0.0, 0.05, have), stats.MOST_MORE_SEEDS + 1)
        for sd, n in ((2.0, 3), (0.1, 10)):
            near(
                self,
                stats.sd_limit(sd, n),
                sd * math.sqrt((n - 1) / scipy_stats.chi2.ppf(0.2, n - 1)),
            )

    def test_more_seeds_of_a_row(self):
        row = self.found["d"]
        d = self.losses["d"] - self.losses["base"]
        alpha = 0.05 / 4  # of four comparisons
        effect = max(0.006, abs(d.mean()))
        upper = d.std(ddof=1) * math.sqrt(4 / scipy_stats.chi2.ppf(0.2, 4))
        needed = [
            max(1, stats.seeds_needed(effect / sd, alpha) - 5) for sd in (d.std(ddof=1), upper)
        ]
        self.assertEqual(
            verdict.more_seeds(row, compare_module.ask(plumb.load(self.dir / "1")), 4),
            tuple(needed),
        )


class Verdicts(Scratch):
    BASE = [1.40, 1.42, 1.41, 1.43, 1.40]

    def of(self, differences, less=True, **more):
        row = self.rows(
            {"base": self.BASE, "v": [b + d for b, d in zip(self.BASE, differences)]}, **more
        )["v"]
        return row.verdict, row.verdict_text

    def test_from_p_and_margin(self):
        small = [0.0001, -0.0001, 0.0002, -0.0002, 0.0001]
        cases = (
            ([-0.05, -0.051, -0.049, -0.05, -0.052], 0.005, ("better", "better")),
            ([0.05, 0.051, 0.049, 0.05, 0.052], 0.005, ("worse", "worse")),
            (
                [-0.002, -0.0021, -0.0019, -0.002, -0.0022],
                0.005,
                ("better", "better, by less than 0.005"),
            ),
            (small, 0.005, ("same", "same within 0.005")),
            ([-0.02, 0.001, -0.015, 0.002, -0.01], 0.005, ("no worse", "no worse than 0.005")),
        )
        for differences, margin, expected in cases:
            self.assertEqual(self.of(differences, margin=margin), expected)
        self.assertEqual(self.of(small)[0], "not resolved")  # no margin was declared
        self.assertRegex(
            self.of([0.02, -0.03, 0.01, -0.01, 0.02], margin=0.005)[1],
            r"not resolved: \d+-\d+ more seeds|over",
        )

    def test_p_is_adjusted_before_it_is_a_verdict(self):
        """One of three with a raw p of 0.03."""
        d = [-0.010, -0.002, -0.008, -0.001, -0.009]
        mine = [b + x for b, x in zip(self.BASE, d)]
        alone = self.rows({"base": self.BASE, "v": mine})["v"]
        self.assertEqual((alone.verdict, alone.p < 0.05), ("better", True))
        three = self.rows(
            {"base": self.BASE, "v": mine, "w": self.BASE[::-1], "x": self.BASE[::-1]}
        )["v"]
        self.assertEqual(
            (three.verdict, three.p, three.p_adjusted > 0.05), ("not resolved", alone.p, True)
        )

    def test_same_is_by_the_90_percent_interval(self):
        row = self.rows(
            {
                "base": self.BASE,
                "v": [b + x for b, x in zip(self.BASE, (0.004, -0.004, 0.001, -0.001, 0))],
            },
            margin=0.003,
        )["v"]
        self.assertTrue(row.low < -0.003 < row.same_low)
        self.assertEqual(row.verdict, "same")

    @needs_program
    def test_more_is_better_of_speed(self):
        s = self.sweep(metric="tok_per_s", margin=5)
        for seed in range(1, 6):
            s.add("base", seed, 1.0, speed=100.0 + seed)
            s.add("v", seed, 1.0, speed=150.0 + 1.01 * seed)
        row = plumb.compare(plumb.load(s.write())).rows[1]
        self.assertEqual((row.verdict, row.p_better), ("better", 1.0))

    def test_holm_is_over_the_rows_of_one_baseline(self):
        rng = np.random.default_rng(2)
        s = self.sweep(("base", "a", "b"), keys=["model.layers"])
        for layers in (6, 12):
            for variant, shift in (("base", 0), ("a", -0.012), ("b", 0.003)):
                for seed in range(1, 6):
                    s.add(
                        variant, seed, 1.4 + shift + rng.normal(0, 0.005), {"model.layers": layers}
                    )
        runs = plumb.load(s.write())
        for family, sizes in (
            ("baseline", [["a layers=6", "b layers=6"], ["a layers=12", "b layers=12"]]),
            ("all", [["a layers=6", "b layers=6", "a layers=12", "b layers=12"]]),
        ):
            rows = {r.label: r for r in plumb.compare(runs, family=family).rows}
            for labels in sizes:
                near(
                    self,
                    [rows[k].p_adjusted for k in labels],
                    stats.holm([rows[k].p for k in labels]),
                )

    def test_a_planned_comparison_without_a_result_counts(self):
        base = self.BASE
        moved = [b - d for b, d in zip(base, (0.01, 0.012, 0.008, 0.011, 0.009))]
        one = self.rows({"base": base, "a": moved})["a"]
        three = self.rows({"base": base, "a": moved, "b": [RUNNING] * 5, "c": [DIVERGED] * 5})
        near(self, three["a"].p_adjusted, 3 * one.p_adjusted)
        self.assertEqual([three[k].verdict for k in "bc"], ["too few", "too few"])

    def test_looks_are_paid_for(self):
        base = [1.40, 1.42, 1.41]
        d = [-0.010, -0.014, -0.009]
        row = self.rows({"base": base, "v": [b + x for b, x in zip(base, d)]}, looks=[3, 5, 10])[
            "v"
        ]
        ends = scipy_stats.t.interval(1 - 0.05 / 3, 2, np.mean(d), scipy_stats.sem(d))
        near(self, [row.low, row.high], ends)
        mine = [b + x for b, x in zip(base, d)]
        ends = scipy_stats.t.interval(1 - 0.05 / 3, 2, np.mean(mine), scipy_stats.sem(mine))
        near(self, [row.mean - row.half, row.mean + row.half], ends)
        self.assertTrue(0.05 / 3 < row.p_adjusted < 0.05)
        self.assertEqual(row.verdict, "not resolved")
        self.assertEqual(
            self.rows({"base": base, "v": [b + x for b, x in zip(base, d)]}, looks=[3])[
                "v"
            ].verdict,
            "better",
        )

    def test_between_looks_and_beyond(self):
        d = [-0.010, -0.013, -0.009, -0.011, -0.012]
        losses = {"base": self.BASE, "v": [b + x for b, x in zip(self.BASE, d)]}
        row = self.rows(losses, looks=[3, 10])["v"]
        self.assertEqual((row.verdict, row.verdict_text), ("interim", "interim: 5 of 10 seeds"))
        found = self.compared(losses, looks=[3])
        self.assertEqual(found.rows[1].verdict, "exploratory")
        self.assertIn("seeds were added after results were seen", " ".join(found.warnings))

    def test_the_plan_of_looks_is_said_as_a_plan(self):
        losses = {"base": self.BASE, "v": self.BASE}
        for looks, said in (
            ([5], "; one planned look, at 5 seeds; "),
            ([3, 5], "; planned looks at 3 and 5 seeds; "),
            ([2, 3, 5], "; planned looks at 2, 3 and 5 seeds; "),
        ):
            self.assertIn(said, self.compared(losses, looks=looks).headline)

    def test_pooled_is_shown_where_it_is_another_interval(self):
        base, v, w = [1.40, 1.42, 1.41], [1.39, 1.40, 1.41], [1.38, 1.41, 1.37]
        for pool in (False, True):
            two = self.compared({"base": base, "v": v}, {"pool": pool})
            self.assertTrue(math.isfinite(two.rows[1].pool_low))
            self.assertNotIn("(pooled)", two.text(200))
            self.assertIn("(pooled)", self.compared({"base": base, "v": v, "w": w}).text(200))

    def test_fewer_than_three_pairs_no_p_no_verdict(self):
        row = self.rows({"base": [1.0, 1.1], "v": [0.5, 0.61]})["v"]
        self.assertTrue(math.isnan(row.p) and math.isnan(row.p_adjusted))
        self.assertEqual(row.verdict_text, "no verdict: 2 pairs, 3 needed")
        self.assertEqual(row.n_pairs, 2)


class Holes(Scratch):
    BASE = [1.40, 1.42, 1.41, 1.43, 1.40]

    def test_one_seed(self):
        found = self.compared({"base": [1.4], "v": [1.3]})
        row = found.rows[1]
        near(self, row.difference, -0.1)
        self.assertTrue(math.isnan(row.low) and math.isnan(row.sd))
        self.assertEqual(row.verdict, "too few")
        for form in (found.text(60), found.markdown(), found.latex(), found.csv()):
            self.assertNotIn("nan", form.lower().replace("nanol", ""))

    def test_all_diverged(self):
        rows = self.rows({"base": self.BASE, "v": [DIVERGED] * 5, "w": [DIVERGED, *[1.3] * 4]})
        v = rows["v"]
        self.assertEqual((v.n, v.n_ended, v.n_diverged, v.n_pairs, v.p_better), (0, 5, 5, 0, 0.0))
        near(self, [v.diverged_low, v.diverged_high], stats.clopper_pearson(5, 5))
        self.assertEqual(v.notes, ["5 of 5 diverged"])
        self.assertTrue(math.isnan(v.mean))
        self.assertEqual((rows["w"].p_better, rows["w"].n_pairs), (0.8, 4))
        near(self, rows["w"].mean, 1.3)
        nobody = self.rows({"base": [DIVERGED] * 3, "v": [1.0, 1.0, DIVERGED]})["v"]
        near(self, nobody.p_better, 2.5 / 3)
        self.assertEqual(nobody.verdict, "too few")

    def test_unequal_seeds_pair_what_both_have(self):
        row = self.rows(
            {"base": [1.4, 1.5, 1.6, 1.7, None, 1.4], "v": [None, 1.3, 1.5, 1.5, 1.9, 1.1]}
        )["v"]
        self.assertEqual((row.n, row.n_pairs), (5, 4))
        self.assertEqual(list(row.differences), [2, 3, 4, 6])
        near(self, row.p, scipy_stats.ttest_rel([1.3, 1.5, 1.5, 1.1], [1.5, 1.6, 1.7, 1.4]).pvalue)

    def test_zero_variance(self):
        same = self.rows({"base": self.BASE, "v": self.BASE}, margin=0.01)["v"]
        self.assertEqual((same.verdict, same.difference, same.sd), ("identical", 0.0, 0.0))
        self.assertTrue(math.isnan(same.p))
        moved = self.rows({"base": [1.0, 2.0, 3.0], "v": [1.5, 2.5, 3.5]})["v"]
        self.assertEqual(moved.verdict_text, "+0.5 exactly in every seed: not tested")

    @needs_program
    def test_nan_and_null_losses_are_no_values(self):
        s = self.sweep()
        for seed, x in enumerate(self.BASE, 1):
            s.add("base", seed, x)
            s.add("v", seed, [None, NAN, 1.2, 1.3, 1.1][seed - 1])
        row = plumb.compare(plumb.load(s.write())).rows[1]
        self.assertEqual((row.n, row.n_pairs, row.n_ended), (3, 3, 5))
        self.assertEqual(row.notes, ["2 of 5 have no final validation loss"])
        near(self, row.mean, 1.2)

    def test_what_is_missing_is_named(self):
        found = self.compared({"base": self.BASE, "v": [1.3, RUNNING, 1.2, None, 1.1]})
        self.assertEqual(found.left_out, ["v-s2-6: unfinished, its log is at step 0 of 10"])
        self.assertEqual(found.rows[1].n_unfinished, 1)
        self.assertIn("v-s2-6", found.text(80))

    def test_culled_runs_enter_nothing_and_are_said_first(self):
        s = self.sweep(cull={"at": 0.25, "drop_above": 2.0})
        s.add_losses({"base": dict(enumerate(self.BASE, 1)), "v": {1: 1.3, 2: 1.2, 3: 1.1, 4: 1.0}})
        dead = s.add("v", 5, 9.0)
        (s.folder / dead["dir"] / "CULLED").touch()
        found = plumb.compare(plumb.load(s.write()))
        self.assertEqual(
            (found.rows[1].n, found.rows[1].n_culled, found.rows[1].n_settled), (4, 1, 5)
        )
        self.assertEqual(found.warnings[0], "culling was on: 1 run stopped early, in no statistic")

    def test_no_runs_at_all(self):
        found = self.compared({"base": [RUNNING], "v": [RUNNING]})
        self.assertEqual(found.rows[1].verdict, "too few")
        for width in (60, 200):
            self.assertIn("unfinished", found.text(width))

    def test_no_baseline_here(self):
        found = self.compared({"base": self.BASE, "v": self.BASE}, baseline="gone")
        self.assertEqual([r.verdict for r in found.rows], ["none", "none"])
        self.assertIn("--baseline NAME takes one of: base, v", found.warnings[0])
        with self.assertRaisesRegex(UsageError, "there are: base, v"):
            self.compared({"base": self.BASE, "v": self.BASE}, {"baseline": "x"})


if __name__ == "__main__":
    unittest.main()
