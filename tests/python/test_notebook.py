"""The example of a notebook does what it says. Run: python3 -m unittest -v (here)."""

import os
import runpy
import shutil
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "scripts")]

import sweeps  # noqa: E402
from plumb.figures import style  # noqa: E402  (its backend draws without a screen)


class Notebook(unittest.TestCase):
    def test_forest_plot(self):
        folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder)
        self.addCleanup(style.plt.close, "all")
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(folder)
        s = sweeps.Sweep(
            folder / "runs" / "blocks", ["standard", "block4", "dead"], [1, 2, 3], margin=0.005
        )
        for seed in (1, 2, 3):
            s.add("standard", seed, 1.4 + 0.01 * seed)
            s.add("block4", seed, 1.3 + 0.011 * seed)
            s.add("dead", seed, sweeps.DIVERGED)
        s.write()
        code = [x for x in (HERE / "notebook.py").read_text().splitlines() if x and x[0] != "#"]
        self.assertLessEqual(len(code) - 2, 10, "ten lines and the imports")
        runpy.run_path(str(HERE / "notebook.py"))
        labels = [t.get_text() for t in style.plt.gca().get_yticklabels()]
        self.assertEqual(labels, ["block4: better", "dead: no verdict: 0 pairs, 3 needed"])
        self.assertGreater((folder / "forest.svg").stat().st_size, 5000)


if __name__ == "__main__":
    unittest.main()
