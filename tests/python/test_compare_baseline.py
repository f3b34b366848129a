"""plumb compare: what --baseline takes, and what is said where nothing is compared. Run: python3 -m
unittest -v (here).
"""

import sys
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "scripts")]

import plumb  # noqa: E402
from compare_case import Scratch  # noqa: E402
from plumb.reading.files import UsageError  # noqa: E402


class Baseline(Scratch):
    def rates(self, rows, **more):
        """rows: [(variant, learning rate)], three seeds each."""
        names = dict.fromkeys(v for v, _ in rows)
        s = self.sweep(names, (1, 2, 3), keys=["train.lr"], **more)
        for variant, lr in rows:
            for seed in (1, 2, 3):
                loss = 1.0 + 0.1 * seed + lr * seed
                s.add(variant, seed, loss, {"train.lr": lr}, settings={"train.lr": lr})
        return s

    def test_one_variant_alone_says_how_to_compare(self):
        runs = plumb.load(self.rates([("base", 0.01), ("base", 0.02)]).write())
        self.assertEqual(
            plumb.compare(runs).warnings,
            [
                "nothing is compared, all rows are the baseline 'base'. For a comparison give each "
                "value a [[variant]] of the sweep file, with one as baseline; or type --baseline "
                "'base lr=0.01'"
            ],
        )
        plain = plumb.compare(plumb.load([r.path for r in runs]))  # no sweep: of their mixer
        self.assertEqual(
            plain.warnings,
            [
                "nothing is compared, all rows are the baseline 'standard'. For a comparison type "
                "--baseline 'standard lr=0.01'"
            ],
        )

    def test_settings_name_a_row(self):
        s = self.rates([("base", 0.005), ("base", 0.01), ("v", 0.005)])
        s.says["variants"][1]["settings"] = {"mixer.streams": 2}
        runs = plumb.load(s.write())
        for asked, label in (
            ("lr=0.01", "base lr=0.01"),
            ("train.lr=1e-2", "base lr=0.01"),
            ("base train.lr=0.005", "base lr=0.005"),
            ("streams=2", "v lr=0.005"),
            ("streams=2 lr=0.005", "v lr=0.005"),
            ("v lr=0.005", "v lr=0.005"),
        ):
            found = plumb.compare(runs, baseline=asked)
            self.assertEqual({r.baseline for r in found.rows} - {None}, {label}, asked)
        for asked, said in (
            ("lr=0.005", "may be one of: base lr=0.005, v lr=0.005"),
            ("lr=3", "there are: base, v, base lr=0.005, base lr=0.01, v lr=0.005"),
            ("lr", "is no variant here"),
        ):
            with self.assertRaisesRegex(UsageError, said):
                plumb.compare(runs, baseline=asked)

    def test_a_row_as_baseline_has_no_sum_over_points(self):
        runs = plumb.load(self.rates([("base", 0.01), ("base", 0.02)]).write())
        found = plumb.compare(runs, baseline="lr=0.01")
        self.assertEqual([r.n_pairs for r in found.rows], [0, 3])
        self.assertEqual(found.overall, [])


if __name__ == "__main__":
    unittest.main()
