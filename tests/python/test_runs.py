"""plumb.load: sweeps, folders and globs; what is set aside; tables with pandas and without. Run:
python3 -m unittest -v (here).
"""

import contextlib
import csv
import io
import json
import shutil
import sys
import tempfile
import time
import unittest
from pathlib import Path
from unittest import mock

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "scripts")]

import plumb  # noqa: E402
import sweeps  # noqa: E402
import synthetic  # noqa: E402
from plumb.figures import cli as figures  # noqa: E402
from plumb.reading import files, program  # noqa: E402
from with_program import needs_program  # noqa: E402



class Scratch(unittest.TestCase):
    def setUp(self):
        self.dir = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir)

    def sweep(self, variants=("base", "v"), seeds=(1, 2, 3), **more):
        return sweeps.Sweep(self.dir / "s", variants, seeds, **more)


class Folders(Scratch):
    def make(self, name, mixer, seed, settings={}, **more):
        options = {"n": 4, "steps": 200, "schema": 2, **more}
        return synthetic.make_run(self.dir / name, mixer, seed, settings=settings, **options)

    def test_a_folder_a_glob_a_run_and_a_list(self):
        for seed in (1, 2):
            self.make(f"a/s{seed}", "standard", seed)
        self.make("b/s1", "mhc", 1)
        names = lambda where: sorted(f"{r.mixer} {r.seed}" for r in plumb.load(where))  # noqa: E731
        both = ["standard 1", "standard 2"]
        self.assertEqual(names(self.dir / "a"), both)
        self.assertEqual(names(str(self.dir / "a")), both)
        self.assertEqual(names(str(self.dir / "*" / "s1")), ["mhc 1", "standard 1"])
        self.assertEqual(names(self.dir / "b" / "s1"), ["mhc 1"])
        self.assertEqual(names([self.dir / "a", str(self.dir / "b" / "*")]), ["mhc 1", *both])
        self.assertEqual(names([self.dir / "a", self.dir / "a" / "s1"]), both)
        for nothing in (self.dir / "none", str(self.dir / "no*"), []):
            with self.assertRaises(files.InputError):
                plumb.load(nothing)

    @needs_program  # mixers in its order
    def test_a_grid_of_settings_falls_into_cells(self):
        for mixer in ("standard", "mhc"):
            for lr in (0.001, 0.002):
                for seed in (1, 2):
                    self.make(f"{mixer}{lr}{seed}", mixer, seed, {"train.lr": lr})
        cells = plumb.load(self.dir).cells
        self.assertEqual(
            [(c.variant, c.point, c.label, len(c.runs)) for c in cells],
            [
                (m, {"train.lr": lr}, f"{m} lr={lr:g}", 2)
                for m in ("standard", "mhc")
                for lr in (0.001, 0.002)
            ],
        )

    def test_logs_are_read_when_they_are_asked_for(self):
        self.make("a", "standard", 1)
        runs = plumb.load(self.dir)
        self.assertFalse({"metrics", "depth", "tensors"} & set(vars(runs[0])))
        self.assertEqual(
            runs.depth("stream_rms")["value"].tolist()[:2],
            [runs[0].depth[100, 0]["stream_rms"], runs[0].depth[100, 1]["stream_rms"]],
        )
        found = runs.metrics(["val/loss", "lr"])
        self.assertEqual(
            list(found.columns),
            ["id", "variant", "seed", "step", "tokens", "time_s", "metric", "value"],
        )
        self.assertEqual(len(found), 4 + 20)
        self.assertEqual(float(found["time_s"][0]), 10 * 8192 / runs[0].tok_per_s)

    def test_matrix_by_step(self):
        self.make("a", "standard", 1)
        synthetic.write_safetensors(
            self.dir / "a" / "matrix" / "step_00000100.safetensors",
            {"mean": np.full((5, 5), 3.0)},
            {},
        )
        one = plumb.load(self.dir)["a"]
        self.assertEqual(one.matrix_steps(), [100, 200])
        np.testing.assert_array_equal(one.matrix(step=100), np.full((5, 5), 3.0))
        np.testing.assert_array_equal(one.matrix(step=200), one.matrix())
        with self.assertRaisesRegex(files.UsageError, "no matrix of step 7; stored: 100, 200"):
            one.matrix(step=7)

    def test_what_ended_too_soon_is_seen_without_reading_the_logs(self):
        self.make("cut", "standard", 1)
        lines = (self.dir / "cut" / "metrics.jsonl").read_text().splitlines(True)
        (self.dir / "cut" / "metrics.jsonl").write_text("".join(lines[:-3]) + '{"step":2')
        self.make("probe", "standard", 2)
        lines = (self.dir / "probe" / "depth.jsonl").read_text().splitlines(True)
        (self.dir / "probe" / "depth.jsonl").write_text("".join(lines[:6]))
        self.make("whole", "standard", 3)
        self.make("on", "standard", 4, status="unfinished")
        self.make("dead", "standard", 5, status="diverged")
        runs = plumb.load(self.dir)
        self.assertEqual(sorted(r.seed for r in runs), [3, 5])
        self.assertEqual(
            {r.path.name: why for r, why in runs.left_out},
            {
                "cut": "metrics.jsonl ends at step 170, summary.json says 200",
                "probe": "depth.jsonl ends at step 100, summary.json says 200",
                "on": "unfinished, its log is at step 200 of 200",
            },
        )

    def test_runs_set_aside_are_not_found(self):
        for name in ("a", ".old/1/a", ".merged/b"):
            self.make(name, "standard", 1)
        self.assertEqual(len(plumb.load(self.dir).all), 1)

    def made(self, name, mixer, seed, numerics, dropout=0.0):
        self.make(name, mixer, seed, {"model.dropout": dropout})
        if numerics:
            (self.dir / name / "manifest.json").write_text(json.dumps({"numerics": numerics}))

    def test_older_numerics_are_outdated_in_folders_too(self):
        for seed, numerics in ((1, 1), (2, 2), (3, None)):
            self.made(f"s{seed}", "standard", seed, numerics)
        with mock.patch.object(program, "listed", lambda kind: []):
            runs = plumb.load(self.dir)
        self.assertEqual(
            [(r.seed, r.status) for r in runs.all if r.status != "finished"], [(1, "outdated")]
        )
        self.assertEqual([why for _, why in runs.left_out], ["made with numerics 1, now it is 2"])

    def test_only_what_a_change_was_about_is_outdated(self):
        """Without dropout runs are of numerics 1 as ever; with it, those of before the change."""
        self.made("plain", "standard", 1, 1)
        self.made("new", "mhc", 1, 2, dropout=0.1)
        self.made("old", "standard", 1, 1, dropout=0.2)
        row = {"since": 2, "key": "model.dropout", "default": 0.0}
        for rows, outdated in (([row], ["old"]), ([], []), ([{**row, "key": ""}], ["old", "plain"])):
            with self.subTest(rows), mock.patch.object(program, "listed", lambda kind: rows):
                found = [r.path.name for r, _ in plumb.load(self.dir).left_out]
                self.assertEqual(sorted(found), outdated)
        shutil.rmtree(self.dir / "new")
        with mock.patch.object(program, "listed", lambda kind: [row]):
            self.assertEqual(plumb.load(self.dir).left_out, [])

    def test_experiment_is_what_the_figures_take(self):
        self.make("a", "standard", 1)
        self.make("b", "mhc", 1)
        (self.dir / "b" / "depth.jsonl").write_text('x\n{"step":200,"depth":5}\n')
        found = plumb.load(self.dir).experiment({"mhc": "standard"}, "title")
        self.assertEqual({k: len(v) for k, v in found.groups.items()}, {"standard": 1})
        self.assertRegex(found.left_out()[0], "line 1 is not a record")


class Sweeps(Scratch):
    def test_each_kind_of_run_is_named(self):
        s = self.sweep(cull={"at": 0.25, "drop_above": 2.0})
        for seed, loss in ((1, 1.0), (2, sweeps.DIVERGED), (3, sweeps.RUNNING), (4, sweeps.ABSENT)):
            s.add("base", seed, loss)
        s.add("v", 1, 1.5, current=False)
        s.add("v", 2, 1.5, made={"numerics": 7})
        culled = s.add("v", 3, sweeps.RUNNING)
        (s.folder / culled["dir"] / "CULLED").touch()
        broken = s.add("v", 4, 2.0)
        (s.folder / broken["dir"] / "summary.json").write_text("{")
        s.add("v", 101, 1.0, {"train.lr": 1}, "tune")
        s.write()
        sweeps.write_run(s.folder / "stray", 1.0, 1)
        sweeps.write_run(s.folder / ".old" / "1" / "x", 1.0, 1)
        runs = plumb.load(s.folder)
        self.assertEqual(
            [(r.variant, r.seed, r.status) for r in runs],
            [("base", 1, "finished"), ("base", 2, "diverged")],
        )
        self.assertEqual([r.seed for r in runs.tune], [101])
        aside = {r.path.name: (r.status, why) for r, why in runs.left_out}
        self.assertEqual(len(runs.all), 10)
        self.assertEqual(
            {k: v[0] for k, v in aside.items()},
            {
                "base-s3-2": "unfinished", "base-s4-3": "unfinished", "v-s1-4": "orphan",
                "v-s2-5": "outdated", "v-s3-6": "culled", "v-s4-7": "damaged", "stray": "orphan",
            },
        )  # fmt: skip
        self.assertEqual(aside["base-s4-3"][1], "not started")
        self.assertIn("summary.json is not JSON", aside["v-s4-7"][1])

    def test_figures_take_what_the_sweep_file_stands_for(self):
        """Not the first stage, which differs from the second in its seeds alone; nor orphans."""
        s = self.sweep(
            ("standard", "deep"), (1, 2), tune={"keys": ["train.lr"], "per": ["variant"]}
        )
        for variant, mixer in (("standard", "standard"), ("deep", "mhc")):
            for seed, stage in ((1, "main"), (2, "main"), (101, "tune"), (3, "main")):
                entry = s.add(variant, seed, sweeps.ABSENT, stage=stage, current=seed != 3)
                synthetic.make_run(s.folder / entry["dir"], mixer, seed, n=4, steps=200, schema=2)
        s.add("deep", 4, sweeps.ABSENT)
        out, said = self.dir / "out", io.StringIO()
        with contextlib.redirect_stdout(said):
            code = figures.main(["-q", str(s.write()), "-o", str(out), "--figures", "table"])
        self.assertEqual(code, 0)
        rows = list(csv.DictReader(io.StringIO((out / "results.csv").read_text())))
        self.assertEqual(
            [(r["label"], r["n_seeds"], r["baseline"]) for r in rows],
            [("standard", "2", ""), ("deep", "2", "standard")],
        )
        left_out = [x for x in said.getvalue().splitlines() if x.startswith("left out")]
        self.assertEqual(len(left_out), 3)  # two orphans, one not started
        self.assertEqual(plumb.load(s.folder).experiment().variants["deep"].mixer, "mhc")

    def test_found_by_the_beginning_of_the_id(self):
        s = self.sweep()
        for seed in (1, 2):
            s.add("base", seed, 1.0, plan={"id": f"{seed}f0c9e2b7a"})
        runs = plumb.load(s.write())
        self.assertIs(runs["1f0c"], runs[0])
        self.assertIs(runs["base-s2-1"], runs[1])
        with self.assertRaisesRegex(KeyError, "no run '9'"):
            runs["9"]

    def test_a_last_line_of_the_plan_cut_short_is_ignored(self):
        s = self.sweep()
        s.add("base", 1, 1.0)
        folder = s.write()
        with (folder / "plan.jsonl").open("a") as f:
            f.write('{"index":1,"id":"ab')
        self.assertEqual(len(plumb.load(folder)), 1)
        with (folder / "plan.jsonl").open("a") as f:
            f.write("\n{}\n")
        with self.assertRaisesRegex(files.InputError, "plan.jsonl line 2 is not a planned run"):
            plumb.load(folder)
        s.plan[0]["numerics"] = "x"
        with self.assertRaisesRegex(files.InputError, "plan.jsonl line 1 is not a planned run"):
            plumb.load(s.write())

    def test_each_run_is_held_against_the_numerics_it_was_planned_with(self):
        s = self.sweep()
        s.add("base", 1, 1.0, made={"numerics": 1})  # a plan of before it said so
        s.add("base", 2, 1.0, plan={"numerics": 1}, made={"numerics": 1})
        s.add("v", 1, 1.0, plan={"numerics": 2}, made={"numerics": 2})
        s.add("v", 2, 1.0, plan={"numerics": 2}, made={"numerics": 1})
        runs = plumb.load(s.write())
        self.assertEqual(
            [(r.variant, r.seed, why) for r, why in runs.left_out],
            [("v", 2, "made with numerics 1, now it is 2")],
        )

    def test_damaged_sweep_files_are_errors_of_one_line(self):
        s = self.sweep()
        s.add("base", 1, 1.0)
        folder = s.write()
        whole = json.loads((folder / "sweep.json").read_text())
        for key, value in (
            ("seeds", [1.5]),
            ("seeds", "1"),
            ("variants", [1]),
            ("variants", [{}]),
            ("margin", "x"),
            ("margin", -1),
            ("margin", None),
            ("looks", [True]),
            ("tune", 3),
            ("tune", {}),
            ("current", ["nope"]),
            ("keys", {"a": 1}),
            ("cull", "x"),
            ("baseline", 1),
        ):
            with self.subTest(key=key, value=value):
                (folder / "sweep.json").write_text(json.dumps({**whole, key: value}))
                with self.assertRaises(files.InputError) as raised:
                    plumb.load(folder)
                self.assertNotIn("\n", str(raised.exception))
        for text in ("", "[]", "{", "\xff"):
            (folder / "sweep.json").write_text(text, encoding="latin-1")
            with self.assertRaisesRegex(files.InputError, "sweep.json"):
                plumb.load(folder)

    def test_two_runs_of_one_seed_are_named(self):
        s = self.sweep()
        s.add("base", 1, 1.0)
        s.add("base", 1, 1.1)
        with self.assertRaisesRegex(
            files.UsageError, "two runs are 'base' with seed 1: .*base-s1-0"
        ):
            plumb.load(s.write())


class Progress(Scratch):
    def test_a_word_every_two_seconds(self):
        said = []
        with mock.patch("plumb.reading.runs.time.monotonic", side_effect=iter(range(100))):
            self.assertEqual(
                list(plumb.reading.runs.watched("abcdef", said.append)), list("abcdef")
            )
        self.assertEqual(said, ["reading runs, 2 of 6", "reading runs, 5 of 6"])


class Speed(Scratch):
    def test_thousand_runs(self):
        """A tenth of what has to take less than 10 s."""
        s = self.sweep([f"v{i}" for i in range(20)], range(1, 6), keys=["model.layers"])
        for variant in s.says["variants"]:
            for layers in range(10):
                for seed in range(1, 6):
                    s.add(
                        variant["name"],
                        seed,
                        1.0 + 0.001 * seed * layers,
                        {"model.layers": layers},
                        curve=[(100.0, 2.0), (1000.0, 1.0)],
                        made={"numerics": 1},
                    )
        folder = s.write()
        start = time.process_time()
        found = plumb.compare(plumb.load(folder))
        seconds = time.process_time() - start
        self.assertEqual(len(found.rows), 200)
        self.assertLess(seconds, 5, "CPU seconds for 1,000 runs")


if __name__ == "__main__":
    unittest.main()
