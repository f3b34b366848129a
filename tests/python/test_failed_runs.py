"""plumb.load: what it says of planned runs that failed. Run: python3 -m unittest -v (here)."""

import shutil
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "scripts")]

import plumb  # noqa: E402
import sweeps  # noqa: E402


class Failed(unittest.TestCase):
    def setUp(self):
        self.dir = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir)

    def test_a_run_that_failed_before_its_first_write_says_its_last_line(self):
        s = sweeps.Sweep(self.dir / "s", ["base"], [1, 2, 3])
        s.add("base", 1, 1.0)
        for seed, log in ((2, "loading\nplumb train: no \x1b[31mdata\n\n"), (3, ""), (4, None)):
            path = s.folder / s.add("base", seed, sweeps.ABSENT)["dir"]
            (path / "checkpoints").mkdir(parents=True)
            if log is not None:
                (path / "log.txt").write_text(log)
        found = plumb.load(s.write())
        aside = [(r.seed, r.status, why) for r, why in found.left_out]
        began = "failed before it began: "
        self.assertEqual(aside, [
            (2, "unfinished", began + r"plumb train: no \x1b[31mdata"),
            (3, "unfinished", began + "it printed nothing"),
            (4, "unfinished", began + "it printed nothing"),
        ])  # fmt: skip

    def test_a_run_that_lost_its_summary_says_how_to_run_it_again(self):
        s = sweeps.Sweep(self.dir / "s", ["base"], [1, 2, 3])
        for seed in (1, 2, 3):
            s.add("base", seed, 1.0)
        one, two, three = (s.folder / entry["dir"] / "summary.json" for entry in s.plan)
        one.unlink()
        two.write_text("{")
        three.write_text('{"seed": "x"}')
        found = plumb.load(s.write())
        file = s.folder / "sweep.toml"
        for (run, why), said in zip(found.left_out, ("is gone", "not JSON", "damaged number")):
            self.assertEqual(run.status, "damaged")
            self.assertIn(said, why)
            self.assertTrue(why.endswith(f"; type: plumb sweep run {file} --rerun {run.id}"), why)
            self.assertNotIn("restore", why)
        self.assertEqual(len(found.left_out), 3)


if __name__ == "__main__":
    unittest.main()
