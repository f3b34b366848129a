"""What the tests of plumb.compare share: the command, and sweeps from tables of losses."""

import contextlib
import io
import math
import shutil
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "scripts")]

import plumb  # noqa: E402
import sweeps  # noqa: E402
from plumb import cli  # noqa: E402

NAN = math.nan


def call(*arguments):
    """(exit code, stdout, stderr) of plumb compare with these arguments."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = cli.main(["compare", *map(str, arguments)])
        except SystemExit as e:
            code = e.code
    return code, out.getvalue(), err.getvalue()


def made(commit="abcdef0", device="cpu", dirty=False):
    return {"git": {"commit": commit, "dirty": dirty}, "numerics": 1, "run": {"device": device}}


class Scratch(unittest.TestCase):
    def setUp(self):
        self.dir = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir)
        self.made = 0

    def sweep(self, variants=("base", "v"), seeds=(1, 2, 3, 4, 5), **more):
        self.made += 1
        return sweeps.Sweep(self.dir / str(self.made), list(variants), seeds, **more)

    def compared(self, losses, options={}, **more):
        """losses: {variant: [loss by seed, None for no run]}."""
        n = max(map(len, losses.values()))
        s = self.sweep(losses, range(1, n + 1), **more)
        s.add_losses(
            {k: {i: x for i, x in enumerate(v, 1) if x is not None} for k, v in losses.items()}
        )
        return plumb.compare(plumb.load(s.write()), **options)

    def rows(self, losses, options={}, **more):
        return {r.label: r for r in self.compared(losses, options, **more).rows}


def near(case, mine, theirs):
    np.testing.assert_allclose(mine, theirs, rtol=1e-12, atol=1e-15)
