"""The table of plumb.load, with pandas and without; what makes two runs seeds of one variant. Run:
python3 -m unittest -v (here).
"""

import importlib.util
import math
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "scripts")]

import plumb  # noqa: E402
import sweeps  # noqa: E402
import synthetic  # noqa: E402
from plumb.reading import files, run, settings  # noqa: E402
from plumb.reading.frames import Table, frame  # noqa: E402
import test_runs  # noqa: E402

HAVE_PANDAS = importlib.util.find_spec("pandas") is not None


class Tables(test_runs.Scratch):
    COLUMNS = ["id", "variant", "stage", "seed", "status", "why", "mixer.name", "train.lr",
               "train.seed", "train.steps"]  # fmt: skip

    def runs(self):
        s = self.sweep()
        s.add(
            "base",
            1,
            1.25,
            settings={"train.lr": 0.5},
            made={"git": {"commit": "abcdef012"}, "numerics": 1, "run": {"device": "cpu"}},
        )
        s.add("v", 2, sweeps.DIVERGED)
        return plumb.load(s.write())

    def check(self, table):
        self.assertEqual(list(table.columns)[:10], self.COLUMNS)
        self.assertEqual(list(table["status"]), ["finished", "diverged"])
        self.assertEqual(float(table["final_val_loss"][0]), 1.25)
        self.assertTrue(np.isnan(float(table["final_val_loss"][1])))
        self.assertEqual(
            [table[c][0] for c in ("commit", "device", "numerics")], ["abcdef0", "cpu", 1]
        )
        self.assertEqual(len(table), 2)

    def test_without_pandas(self):
        with mock.patch.dict(sys.modules, {"pandas": None}):
            table = self.runs().table
            self.assertIsInstance(table, Table)
            self.check(table)
            self.assertEqual(next(iter(table))["train.lr"], 0.5)
            self.assertIsNone(table.rows[1]["train.lr"])
            self.assertEqual(table.to_csv().splitlines()[0].split(",")[:10], self.COLUMNS)
            with self.assertRaisesRegex(KeyError, "no column 'x'"):
                table["x"]

    @unittest.skipUnless(HAVE_PANDAS, "pandas is not here")
    def test_with_pandas(self):
        import pandas

        table = self.runs().table
        self.assertIsInstance(table, pandas.DataFrame)
        self.check(table)

    @unittest.skipUnless(HAVE_PANDAS, "pandas is not here")
    def test_both_have_the_same_columns_and_values(self):
        runs = self.runs()
        with mock.patch.dict(sys.modules, {"pandas": None}):
            plain = runs.table
        self.assertEqual(list(plain.columns), list(runs.table.columns))
        for column in plain.columns:
            mine, theirs = plain[column][0], runs.table[column][0]
            self.assertTrue(mine == theirs or (mine != mine and theirs != theirs), column)

    def test_no_rows(self):
        with mock.patch.dict(sys.modules, {"pandas": None}):
            self.assertEqual(len(frame(["a"], [])), 0)


class Settings(unittest.TestCase):
    def test_numbers_that_are_none(self):
        for value in (None, True, "1", [1], math.inf, math.nan, 10**400):
            self.assertTrue(math.isnan(files.finite(value)), value)
        self.assertEqual((files.finite(2), files.finite(-0.5)), (2.0, -0.5))
        one = run.Run(Path("x"), "mhc", 1, plan={"flops_per_token": -1})
        self.assertTrue(math.isnan(one.flops_per_token))
        one.plan = {"flops_per_token": 7}
        self.assertEqual(one.flops_per_token, 7.0)

    def test_lines_one_by_one_are_the_whole_file(self):
        import tomllib

        for text in (
            '[a]\nx = 1\ny = "b # c"  # d\n\n[b]\nx = [1, 2]\n',
            "x = 1\n[a-b]\nc.d = true\n",
            '[a]\nx = """\n[b]\ny = 1\n"""\n',
            "[a]\nx = [\n1,\n2]\n",
            "[a.b]\nx = 1\n",
            "[[a]]\nx = 1\n",
        ):
            found = settings.parse_settings(text)
            if found is not None:
                self.assertEqual(found, settings.flat(tomllib.loads(text)), text)
        self.assertEqual(settings.parse_settings("[a]\nx = 1\n[b]\nx = 2\n"), {"a.x": 1, "b.x": 2})
        for text in ("[a]\nx = 1\n[a]\ny = 2\n", "[a]\nx = 1\nx = 2\n", "[a]\nx = [\n1]\n", "x\n"):
            self.assertIsNone(settings.parse_settings(text), text)

    def test_last_record_of_a_log_that_is_damaged_at_its_end(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "metrics.jsonl"
            self.assertEqual(files.last_record(path), {})
            path.write_bytes(b'{"step":1}\n' * 3000 + b'{"step":7,"a":2}\n\xff\n{"step"')
            self.assertEqual(files.last_record(path), {"step": 7, "a": 2})
            path.write_bytes(b"[3]\n5\n")
            self.assertEqual(files.last_record(path), {})

    def test_a_curve_read_line_by_line_is_the_whole_log_s(self):
        with tempfile.TemporaryDirectory() as folder:
            synthetic.make_run(Path(folder) / "a", "mhc", 1, n=4, steps=200)
            path = Path(folder) / "a" / "metrics.jsonl"
            path.write_text('{"step":0,"tokens":0,"val/loss":5.5}\n' + path.read_text())
            quick, whole = (run.open_run(Path(folder) / "a") for _ in range(2))
            _ = whole.metrics
            np.testing.assert_array_equal(quick.val_curve, whole.val_curve)
            self.assertNotIn("metrics", vars(quick))
            np.testing.assert_array_equal(quick.val_curve, quick.series("val/loss")[1:])


if __name__ == "__main__":
    unittest.main()
