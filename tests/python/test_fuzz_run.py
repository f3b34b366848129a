"""scripts/fuzz_run, a short form of it: damaged files of a run are refused or read, never a crash."""

import importlib.machinery
import importlib.util
import os
import random
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
loader = importlib.machinery.SourceFileLoader("fuzz_run", str(ROOT / "scripts/fuzz_run"))
fuzz_run = importlib.util.module_from_spec(importlib.util.spec_from_loader("fuzz_run", loader))
loader.exec_module(fuzz_run)


class Damage(unittest.TestCase):
    def test_a_seed_gives_the_same_damage_and_most_damage_changes_something(self):
        text = b'{"step": 12, "loss": [1.5, null], "name": "x"}\n' * 20
        damaged = [fuzz_run.damage(text, random.Random(i)) for i in range(200)]
        self.assertEqual(damaged, [fuzz_run.damage(text, random.Random(i)) for i in range(200)])
        self.assertGreater(sum(d != text for d in damaged), 150)
        self.assertEqual(len(set(map(len, damaged))) > 20, True)

    def test_every_file_of_a_run_has_a_command_that_reads_it(self):
        for name in ("config.toml", "depth.jsonl", "metrics.jsonl", "summary.json", "data/meta.json",
                     "matrix/step_00000005.safetensors", "checkpoints/step_00000005/state.json"):
            self.assertTrue(fuzz_run.commands_for("half/" + name), name)


@unittest.skipUnless(os.access(fuzz_run.PLUMB, os.X_OK), f"{fuzz_run.PLUMB} is not built")
class Fuzz(unittest.TestCase):
    def test_forty_mutations(self):
        with tempfile.TemporaryDirectory() as folder:
            fuzz_run.make_runs(Path(folder))
            work = Path(folder)
            codes, wrong, n = fuzz_run.fuzz(work, fuzz_run.random_mutations(work, 40, 7, ""))
        self.assertEqual((wrong, n), ([], 40))
        self.assertGreaterEqual(sum(codes.values()), 40)
        self.assertGreater(codes[4], 0)

    def test_a_crash_would_be_seen(self):
        with tempfile.TemporaryDirectory() as folder:
            crash = Path(folder) / "crash"
            crash.write_text("#!/bin/sh\nkill -SEGV $$\n")
            crash.chmod(0o755)
            saved, fuzz_run.PLUMB = fuzz_run.PLUMB, str(crash)
            try:
                self.assertEqual(fuzz_run.call([], folder)[0], -11)
            finally:
                fuzz_run.PLUMB = saved
        self.assertNotIn(-11, fuzz_run.ALLOWED)
        self.assertNotIn(70, fuzz_run.ALLOWED)


if __name__ == "__main__":
    unittest.main()
