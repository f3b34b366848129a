"""The package: statistics, reading of run folders, and the arrays behind the figures.

Run: python3 -m unittest -v (here).
"""

import json
import math
import shutil
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np
from scipy import stats as scipy_stats

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "scripts")]

import synthetic  # noqa: E402
from plumb import stats  # noqa: E402
from plumb.figures import (  # noqa: E402
    curves,
    loss_curves,
    matrix,
    over_training,
    reference,
    shares,
    style,
)
from plumb.reading import files, groups, places, run  # noqa: E402


class Scratch(unittest.TestCase):
    def setUp(self):
        self.dir = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir)


class Statistics(unittest.TestCase):
    def test_variation(self):
        self.assertAlmostEqual(stats.variation([1.0, 3.0]), 0.5, places=14)
        self.assertEqual(stats.variation([2.0, 2.0, 2.0]), 0.0)

    def test_log_slope_of_a_geometric_profile(self):
        self.assertAlmostEqual(stats.log_slope(3 * 0.9 ** np.arange(24)), math.log(0.9), places=12)
        self.assertTrue(math.isnan(stats.log_slope([1.0, 0.0])))

    def test_band_is_the_t_interval_at_each_depth(self):
        seeds = [np.array([1.0, 5.0]), np.array([2.0, 5.5]), None, np.array([4.0, 7.0])]
        mean, low, high, n = stats.band(seeds)
        self.assertEqual(n, 3)
        for i, column in enumerate(([1.0, 2.0, 4.0], [5.0, 5.5, 7.0])):
            self.assertAlmostEqual(mean[i], np.mean(column), places=14)
            ends = scipy_stats.t.interval(0.95, 2, np.mean(column), scipy_stats.sem(column))
            np.testing.assert_allclose([low[i], high[i]], ends)
        self.assertTrue(np.isnan(stats.band([np.ones(2)])[1:3]).all())
        self.assertIsNone(stats.band([None]))

    def test_band_of_the_logarithm_cannot_reach_zero(self):
        seeds = [np.array([x]) for x in (0.001, 0.01, 0.1)]
        middle, low, high, _ = stats.band(seeds, log=True)
        self.assertAlmostEqual(middle[0], 0.01, places=14)
        logs = np.log([0.001, 0.01, 0.1])
        ends = scipy_stats.t.interval(0.95, 2, logs.mean(), scipy_stats.sem(logs))
        np.testing.assert_allclose([low[0], high[0]], np.exp(ends))
        self.assertLess(stats.band(seeds)[1][0], 0)

    def test_interval_by_hand(self):
        mean, half = stats.interval([1.0, 2.0, 3.0])  # t(0.975, 2) = 4.302653, s = 1
        self.assertAlmostEqual(mean, 2.0)
        self.assertAlmostEqual(half, 4.302653 / math.sqrt(3), places=6)
        self.assertTrue(math.isnan(stats.interval([1.0])[1]))

    def test_paired_matches_scipy_and_uses_shared_seeds_only(self):
        a, b = {1: 2.11, 2: 2.05, 3: 2.20, 9: 7.0}, {1: 2.15, 2: 2.11, 3: 2.21, 4: 0.0}
        mean, half, p, n = stats.paired(a, b)
        self.assertEqual(n, 3)
        self.assertAlmostEqual(mean, (-0.04 - 0.06 - 0.01) / 3, places=12)
        self.assertAlmostEqual(
            p, scipy_stats.ttest_rel([2.11, 2.05, 2.20], [2.15, 2.11, 2.21]).pvalue, places=12
        )
        low, high = scipy_stats.t.interval(0.95, 2, mean, scipy_stats.sem([-0.04, -0.06, -0.01]))
        self.assertAlmostEqual(mean - half, low, places=12)
        self.assertAlmostEqual(mean + half, high, places=12)
        self.assertTrue(math.isnan(stats.paired({1: 1.0}, {1: 2.0})[2]))
        self.assertTrue(math.isnan(stats.paired({1: 1.0, 2: 2.0}, {1: 1.0, 2: 2.0})[2]))

    def test_holm_by_hand(self):
        # sorted 0.005 .01 .03 .04 -> x4 .02, x3 .03, x2 .06, x1 .04 raised to .06
        np.testing.assert_allclose(
            stats.holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02], rtol=1e-12
        )
        adjusted = stats.holm([math.nan, 0.02, 0.7])
        self.assertTrue(math.isnan(adjusted[0]))
        np.testing.assert_allclose(adjusted[1:], [0.04, 0.7], rtol=1e-12)
        self.assertEqual(stats.holm([0.6, 0.8]), [1.0, 1.0])


class Reading(Scratch):
    def test_last_record_per_step_wins_and_half_a_line_is_dropped(self):
        path = self.dir / "metrics.jsonl"
        path.write_text(
            '{"step":1,"train/loss":5}\n{"step":2,"train/loss":4,"val/loss":4.5}\n'
            '{"step":2,"train/loss":3}\n'
            '{"step":3,"train/loss":2}\n{"step":4,"train/l'
        )
        records = files.read_jsonl(path, ("step",))
        self.assertEqual(list(records), [(1,), (2,), (3,)])
        self.assertEqual(records[2,]["train/loss"], 3)
        self.assertEqual(records[2,]["val/loss"], 4.5)

    def test_bad_line_in_the_middle_is_an_error_with_its_number(self):
        path = self.dir / "metrics.jsonl"
        path.write_text('{"step":1}\n{"ste\n{"step":3}\n')
        with self.assertRaisesRegex(files.InputError, "line 2"):
            files.read_jsonl(path, ("step",))

    def test_half_written_probe_is_not_used(self):
        synthetic.make_run(self.dir / "r", "mhc", 1, n=4, steps=200)
        with open(self.dir / "r" / "depth.jsonl", "a") as f:
            f.write(
                '{"step":300,"depth":0,"out_rms":9,"stream_rms":9}\n{"step":300,"depth":1,"stream'
            )
        found = run.load_run(self.dir / "r")
        self.assertEqual(found.probe_steps(), [100, 200])
        self.assertEqual(found.n_sublayers, 4)

    def test_depth_rewind(self):
        synthetic.make_run(self.dir / "r", "mhc", 1, n=4, steps=200)
        lines = (self.dir / "r" / "depth.jsonl").read_text().splitlines()
        changed = json.loads(lines[-3])  # step 200, depth 3
        changed["stream_rms"] = 123.0
        with open(self.dir / "r" / "depth.jsonl", "a") as f:
            f.write(json.dumps(changed) + "\n")
        self.assertEqual(run.load_run(self.dir / "r").by_depth("stream_rms")[3], 123.0)

    def test_null_and_nan_numbers(self):
        (self.dir / "config.toml").write_text('[mixer]\nname = "mhc"\n')
        (self.dir / "metrics.jsonl").write_text(
            '{"step":1,"tokens":8,"val/loss":null}\n{"step":2,"tokens":16,"val/loss":NaN}\n'
            '{"step":3,"tokens":24,"val/loss":1.5}\n'
        )
        steps, tokens, values = run.load_run(self.dir).series("val/loss")
        self.assertEqual((steps.tolist(), tokens.tolist(), values.tolist()), ([3], [24], [1.5]))

    def test_safetensors(self):
        m = np.arange(9, dtype=float).reshape(3, 3)
        synthetic.write_safetensors(
            self.dir / "matrix" / "step_00000005.safetensors",
            {"mean": m, "std": m * 0},
            {"mixer": "x"},
        )
        synthetic.write_safetensors(
            self.dir / "matrix" / "step_00000010.safetensors",
            {"mean": m + 1, "std": m * 0},
            {"mixer": "x"},
        )
        (self.dir / "config.toml").write_text("")
        np.testing.assert_array_equal(run.load_run(self.dir).matrix(), m + 1)
        self.assertIsNone(run.load_run(self.dir).matrix("share"))
        cut = self.dir / "matrix" / "step_00000011.safetensors"
        cut.write_bytes((self.dir / "matrix" / "step_00000010.safetensors").read_bytes()[:-8])
        with self.assertRaisesRegex(files.InputError, "step_00000011"):
            run.load_run(self.dir)


def made(folder, mixer, seed, **more):
    """A Run that is not on disk."""
    return run.Run(folder, mixer, seed, config={"mixer.name": mixer}, **more)


class Places(Scratch):
    def test_a_layout_names_what_stands_where(self):
        synthetic.make_run(self.dir / "plain", "standard", 1, steps=200)
        plain = run.load_run(self.dir / "plain")
        self.assertEqual(places.of(plain), places.Layout(24, ("attn", "mlp")))
        settings = {"model.pattern": '["attn", "attn", "mlp"]'}
        synthetic.make_run(self.dir / "other", "standard", 1, steps=200, settings=settings)
        other = run.load_run(self.dir / "other")
        layout = places.of(other)
        last = other.probe_steps()[-1]
        for d in range(26):
            record = other.depth[last, d]
            self.assertEqual(layout.site(d), record["site"])
            of_kind = d in layout.depths_of(record["kind"])
            self.assertEqual(of_kind, 1 <= d <= 24)
        self.assertEqual((layout.n_blocks, layout.block(3), layout.block(4)), (8, 1, 2))
        self.assertEqual([layout.position(d) for d in (1, 2, 3, 4)], [1, 1.5, 1, 2])
        words = ["embedding", "attention 1.1", "attention 1.2", "MLP 1", "attention 2.1"]
        self.assertEqual([layout.words(d) for d in range(5)], words)
        self.assertEqual(layout.order, "a block: attention, attention, MLP")
        both = [layout, places.Layout(30)]
        self.assertEqual(places.deepest(both).size, 1)  # no block of both
        self.assertEqual(places.deepest(both).n_sublayers, 30)
        self.assertEqual(places.deepest([layout, layout]), layout)
        alone = places.Layout(4, ("mlp", "conv"))
        self.assertEqual(places.kinds_of([alone, layout]), ["attn", "mlp", "conv"])
        self.assertEqual(alone.words(2), "conv 1")
        share = matrix.share_of(other)
        first, second, output = matrix.panels(share, layout)
        self.assertEqual((len(first), len(second), len(output)), (16, 8, 1))
        np.testing.assert_array_equal(first[2, :4], share[3, :4])
        np.testing.assert_array_equal(reference.by_block(np.arange(8.0), 3), [0.5, 1.0])


class Bands(unittest.TestCase):
    """Which scale an axis takes, and how far it reaches."""

    @staticmethod
    def of(*seeds, within=curves.ANY):
        arrays = [np.array(s, dtype=float) for s in seeds]
        return curves.Curves.of_seeds("the name", {"a": arrays}, within)

    def test_scale_and_statistics_follow_the_values(self):
        for seeds, scale, positive in (
            (([1, 2, 3], [2, 2, 3]), "linear", True),
            (([1, 2, 90], [2, 2, 80]), "log", True),
            (([1, 2, 90] * 4, [2, 2, 80] * 3 + [-1, 2, 80]), "symlog", False),
            (([1, -2, 90], [2, 2, -80]), "linear", False),
            (([0, 0, 0], [0, 0, 0]), "linear", False),
        ):
            found = self.of(*seeds)
            self.assertEqual((found.scale.name, found.positive), (scale, positive), seeds)
            low, high = found.limits
            self.assertTrue(low < found.of["a"][0].min() and found.of["a"][0].max() < high)
        self.assertIsNone(self.of([math.nan]))

    def test_scale_and_its_inverse(self):
        values = np.array([0.002, 0.5, 7.0])
        for name in ("linear", "log", "symlog"):
            scale = curves.Scale(name, 0.1)
            np.testing.assert_allclose(scale.value(scale.place(values)), values)

    def test_whole_bands_are_shown_and_not_said_to_be_cut(self):
        found = self.of([1.0, 2.0, 3.0], [1.01, 2.01, 3.01])
        _, low, high, _ = found.of["a"]
        self.assertFalse(found.cut)
        self.assertTrue(found.limits[0] < low.min() and high.max() < found.limits[1])
        self.assertEqual(
            curves.notes([found]), [curves.BANDS, "the name: geometric mean, interval of the logarithm"]
        )

    def test_bands_that_are_cut_are_named(self):
        found = self.of([-1.0, 0.0, 1.0], [1.0, 0.0, -0.9])  # t(0.975, 1) = 12.7
        self.assertTrue(found.cut)
        self.assertGreater(found.of["a"][2].max(), found.limits[1])
        self.assertIn("bands cut at the edge of the panel: the name", curves.notes([found]))

    def test_axis_stays_within_what_can_be(self):
        found = self.of([0.0, 0.5, 0.9], [0.1, 0.5, 0.99], within=(0, 1))
        self.assertLess(found.of["a"][1].min(), 0)
        self.assertTrue(found.cut)
        self.assertTrue(-0.05 < found.limits[0] <= 0 and 1 <= found.limits[1] < 1.05)

    def test_one_seed_has_no_band(self):
        self.assertEqual(curves.notes([self.of([1.0, 2.0])]), [])


class Shapes(Scratch):
    def test_matrix_panels(self):
        m = np.tril(np.arange(1, 26, dtype=float).reshape(5, 5))  # L = 4: rows l = 1..5
        attention, mlp, output = matrix.panels(m)
        np.testing.assert_array_equal(attention[0], [1, *[np.nan] * 4])
        np.testing.assert_array_equal(attention[1], [11, 12, 13, np.nan, np.nan])
        np.testing.assert_array_equal(output, [m[4]])
        np.testing.assert_array_equal(mlp[0], [6, 7, np.nan, np.nan, np.nan])
        np.testing.assert_array_equal(mlp[1], [16, 17, 18, 19, np.nan])
        self.assertEqual((len(attention), len(mlp)), (2, 2))

    def test_shares_are_the_measured_ones_or_sum_to_one(self):
        measured = np.tril(np.full((5, 5), 0.25))
        tensors = {"mean": np.tril(np.ones((5, 5))), "share": measured}
        self.assertIs(matrix.share_of(made(self.dir, "mhc", 1, tensors=tensors)), measured)
        synthetic.make_run(self.dir / "old", "standard", 1, n=4, steps=200)
        old = run.load_run(self.dir / "old")
        share = matrix.share_of(old)
        np.testing.assert_allclose(share.sum(axis=1), 1.0)
        out = old.by_depth("out_rms")
        self.assertAlmostEqual(share[4, 2] / share[4, 1], out[2] / out[1], places=5)

    def test_ways_of_an_attention_are_shown_apart(self):
        shares = [np.tril(np.full((5, 5), x)) for x in (0.25, 0.5, 0.75)]
        tensors = {f"share{w}": s for w, s in zip(("", ".k", ".v"), shares)}
        tensors |= {f"mean{w}": 2 * s for w, s in zip(("", ".k", ".v"), shares)}
        apart = made(self.dir, "mudd", 1, tensors=tensors)
        one = made(self.dir, "mhc", 1, tensors={"mean": shares[0], "share": shares[0]})
        self.assertEqual((apart.ways, one.ways), (("k", "v"), ()))
        found = matrix.found_in({"mudd": [apart], "mhc": [one]})
        self.assertEqual([*found], ["mudd: queries", "mudd: keys", "mudd: values", "mhc"])
        self.assertIs(found["mudd: keys"][2][0][1], shares[1])
        rows = [r for r in matrix.rows(found) if r[0] == "mudd: values"]
        self.assertEqual((len(rows), rows[0][-2:]), (15, ("0.75", "1.5")))

    def test_colours_of_shares_do_not_saturate_and_tell_signs_apart(self):
        fig, ax = style.plt.subplots()
        self.addCleanup(style.plt.close, fig)
        values = [-2, -0.5, -0.1, -0.02, 0, 0.02, 0.1, 0.3, 0.6, 0.9, 2]
        image = shares.mesh(ax, range(12), range(2), np.array([values]))
        seen = image.to_rgba(image.get_array()).reshape(-1, 4)[:, :3]
        gaps = np.abs(seen[:, None] - seen[None]).max(axis=2)
        self.assertGreater(gaps[~np.eye(11, dtype=bool)].min(), 0.08)
        self.assertTrue((seen[1:4, 2] > seen[1:4, 0]).all())  # blue below 0
        self.assertTrue((seen[5:8, 2] < seen[5:8, 0]).all())  # and not above
        np.testing.assert_allclose(seen[4], 1, atol=0.02)

    def test_shares_beyond_the_scale_are_said(self):
        self.assertEqual(shares.notes([np.array([1 + 1e-7, -0.4, np.nan])]), [])
        both = shares.notes([np.array([1.1]), np.array([-1.1])])
        self.assertEqual(both, ["black: above 1", "bright cyan: below -1"])

    def test_attention_and_mlp_rows_of_the_history_are_apart(self):
        grid = over_training.by_kind(np.array([[1.0, 2, 3, 4]] * 3), places.Layout(4))
        self.assertEqual(grid.shape, (5, 3))
        np.testing.assert_array_equal(grid[:, 0], [1, 3, np.nan, 2, 4])
        uneven = places.Layout(6, ("mlp", "attn", "attn"))
        grid = over_training.by_kind(np.array([[1.0, 2, 3, 4, 5, 6]]), uneven)
        np.testing.assert_array_equal(grid[:, 0], [1, 4, np.nan, 2, 3, 5, 6])
        self.assertEqual(
            over_training.ticks(uneven),
            {1: "MLP 1", 2: "MLP 2", 5: "attention 1.2", 7: "attention 2.2"},
        )

    def test_block_values_end_at_one(self):
        np.testing.assert_allclose(
            reference.by_block(np.array([9.0, 1, 2, 3, 4, np.nan])), [0.5, 1.0]
        )

    def test_smooth_keeps_a_constant_and_averages(self):
        np.testing.assert_allclose(loss_curves.smooth(np.full(7, 2.0), 3), 2.0)
        np.testing.assert_allclose(
            loss_curves.smooth(np.array([0.0, 3.0, 6.0]), 3), [1.5, 3.0, 4.5]
        )

    def test_every_mixer_has_its_own_colour_and_variants_too(self):
        here = {m: [made(self.dir, m, 1)] for m in synthetic.MIXERS}
        here["mhc, 8 streams"] = [made(self.dir, "mhc", 1)]
        self.assertEqual(len({v.color for v in style.looks(here).values()}), 8)
        alone = {"mhc, 8 streams": here["mhc, 8 streams"]}
        self.assertEqual(style.looks(alone)["mhc, 8 streams"], style.LOOKS["mhc"])
        twelve = {f"mhc {k}": [made(self.dir, "mhc", 1)] for k in range(12)}
        self.assertEqual(len(set(style.looks(twelve).values())), 12)

    def test_history_is_the_mean_over_seeds(self):
        for seed in (1, 2):
            synthetic.make_run(self.dir / str(seed), "mhc", seed, n=4, steps=200)
        runs = groups.load([self.dir]).groups["mhc"]
        steps, values = over_training.history(runs)
        self.assertEqual((steps.tolist(), values.shape), ([100, 200], (2, 4)))
        expected = np.mean([r.by_depth("write_share", 100)[2] for r in runs])
        self.assertAlmostEqual(values[0, 1], expected, places=14)

    def test_differences_are_paired_by_seed(self):
        def curve(mixer, seed, losses):
            metrics = {
                (s,): {"step": s, "tokens": 10 * s, "val/loss": x} for s, x in enumerate(losses, 1)
            }
            return made(self.dir, mixer, seed, metrics=metrics)

        base = groups.Variant(
            "standard",
            {"mixer.name": "standard"},
            [
                curve("standard", 1, [5.0, 4.0]),
                curve("standard", 2, [7.0, 6.0]),
                curve("standard", 3, [1.0, 1.0]),
            ],
        )
        other = groups.Variant(
            "mhc",
            {"mixer.name": "mhc"},
            [curve("mhc", 2, [6.5, 4.0]), curve("mhc", 1, [4.5, 3.0])],
        )
        steps, tokens, mean, low, high, n = loss_curves.differences(other, base)
        self.assertEqual((steps.tolist(), tokens.tolist(), n), ([1, 2], [10, 20], 2))
        np.testing.assert_allclose(mean, [-0.5, -1.5])
        half = scipy_stats.t.ppf(0.975, 1) * math.sqrt(0.5) / math.sqrt(2)
        np.testing.assert_allclose(high - mean, [0.0, half], atol=1e-12)
        np.testing.assert_allclose(mean - low, [0.0, half], atol=1e-12)


if __name__ == "__main__":
    unittest.main()
