"""Which runs belong together, which are left out, and damaged files.

Run: python3 -m unittest -v (here).
"""

import io
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "scripts")]

import synthetic  # noqa: E402
from plumb.figures import cli as figures  # noqa: E402
from plumb.figures import results as table  # noqa: E402
from plumb.reading import groups, run  # noqa: E402
from plumb.reading.files import InputError, UsageError  # noqa: E402


PLUMB = HERE.parents[1] / "build/release/plumb"


class Scratch(unittest.TestCase):
    def setUp(self):
        self.dir = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir)

    def make(self, name, mixer, seed, settings={}, **more):
        options = {"n": 4, "steps": 200, "schema": 2, **more}
        return synthetic.make_run(self.dir / name, mixer, seed, settings=settings, **options)


class Grouping(Scratch):
    def test_unlike_runs_are_not_seeds_of_one_variant(self):
        for seed, key, value in ((1, "lr", 1e-3), (2, "lr", 2e-3), (3, "warmup", 7)):
            self.make(f"s{seed}", "standard", seed, {f"train.{key}": value})
        found = groups.load([self.dir])
        self.assertEqual([len(v.runs) for v in found.variants.values()], [1, 1, 1])
        self.assertEqual(
            sorted(found.variants), ["standard lr=0.001", "standard lr=0.002", "standard warmup=7"]
        )

    def test_every_key_but_seeds_and_cadence_separates(self):
        self.make("a", "mhc", 1)
        for i, key in enumerate(("model.width", "train.batch", "data.task", "mixer.n_streams")):
            self.make(f"b{i}", "mhc", 1, {key: 3})
        same = ("train.log_every", "record.probe_every", "train.checkpoint_every", "seed.data")
        for i, key in enumerate(same):
            self.make(f"c{i}", "mhc", 10 + i, {key: 3})
        self.assertEqual(
            sorted(len(v.runs) for v in groups.load([self.dir]).variants.values()), [1] * 4 + [5]
        )

    def test_a_run_says_which_of_its_settings_change_no_number(self):
        keeps = {"run": {"keeps_numbers": ["train.new_cadence", "record.label"]}}
        for seed, key in enumerate(("new_cadence", "new_rate", "log_every"), 1):
            self.make(f"s{seed}", "mhc", seed, {f"train.{key}": 3})
            (self.dir / f"s{seed}" / "manifest.json").write_text(json.dumps(keeps))
        self.make("plain", "mhc", 9)
        found = groups.load([self.dir]).variants
        self.assertEqual(
            {k: sorted(r.path.name for r in v.runs) for k, v in found.items()},
            {"mhc": ["plain", "s1"], "mhc new_rate=3": ["s2"], "mhc log_every=3": ["s3"]},
        )

    @unittest.skipUnless(PLUMB.exists(), f"{PLUMB} is not built")
    def test_older_runs_are_taken_as_the_program_has_it(self):
        said = subprocess.run([PLUMB, "list", "settings", "--json"], capture_output=True, check=True)
        older = run.Run(Path(), "mhc", 1)
        for setting in json.loads(said.stdout):
            key = setting["key"]
            if key != "data.path":
                self.assertEqual(groups.trains(older, key), setting["changes_numbers"], key)

    def test_a_new_neutral_key_does_not_separate_and_a_used_one_does(self):
        self.make("old", "attnres", 1)
        self.make("new", "attnres", 2, {"mixer.freeze": "[]", "mixer.lr_scale": "1.0"})
        self.make("frozen", "attnres", 1, {"mixer.freeze": '["query"]'})
        found = groups.load([self.dir])
        self.assertEqual(sorted(found.variants), ["attnres", "attnres freeze=[query]"])
        self.assertEqual(len(found.variants["attnres"].runs), 2)

    def test_same_folder_of_tokens_elsewhere_is_the_same_data(self):
        for seed, path in ((1, "data/a"), (2, "/copy/a"), (3, "data/b")):
            self.make(f"s{seed}", "mhc", seed, {"data.path": f'"{path}"'})
            manifest = {"data": {"fingerprint": "ab" if path.endswith("/a") else "cd"}}
            (self.dir / f"s{seed}" / "manifest.json").write_text(json.dumps(manifest))
        found = groups.load([self.dir]).variants
        self.assertEqual(
            {k: len(v.runs) for k, v in found.items()}, {"mhc data=a": 2, "mhc data=b": 1}
        )

    def test_given_label_is_honoured_and_told_apart(self):
        self.make("a", "mhc", 1, {"train.lr": 1e-3}, label="my best")
        self.make("b", "mhc", 1, {"train.lr": 2e-3}, label="my best")
        self.make("c", "mhc", 1, {"train.lr": 3e-3}, label="mhc lr=0.003")
        self.assertEqual(
            sorted(groups.load([self.dir]).variants),
            ["mhc lr=0.003", "my best train.lr=0.001", "my best train.lr=0.002"],
        )

    def test_each_seed_may_start_from_the_run_of_its_seed(self):
        for i, (seed, start) in enumerate(
            ((1, "a12-s1@100"), (2, "a12-s2@100"), (12, "a12-s12@100"), (1, "a12-s1@200"), (2, "b@2"))
        ):
            self.make(f"r{i}", "mhc", seed, {"train.init_from": f'"runs/{start}"'})
        found = {k: len(v.runs) for k, v in groups.load([self.dir]).variants.items()}
        self.assertEqual(
            found,
            {
                "mhc init_from=runs/a12-s*@100": 3,
                "mhc init_from=runs/a12-s*@200": 1,
                "mhc init_from=runs/b@2": 1,
            },
        )

    def test_baseline_at_the_same_other_settings(self):
        for lr in (1e-3, 2e-3):
            for mixer in ("standard", "mhc"):
                self.make(f"{mixer}{lr}", mixer, 1, {"train.lr": lr})
        found = groups.load([self.dir])
        self.assertEqual(
            found.baselines,
            {"mhc lr=0.001": "standard lr=0.001", "mhc lr=0.002": "standard lr=0.002"},
        )
        one = groups.load([self.dir], "standard lr=0.001")
        self.assertEqual(set(one.baselines.values()), {"standard lr=0.001"})
        self.assertEqual(len(one.baselines), 3)

    def test_other_data_has_no_difference(self):
        self.make("a", "standard", 1, {"data.task": '"copy"'})
        self.make("b", "mhc", 1, {"data.task": '"khop"'})
        self.assertEqual(groups.load([self.dir]).baselines, {})

    def test_pairs_need_every_seed_equal(self):
        self.make("a", "standard", 1, {"seed.data": 5})
        self.make("b", "mhc", 1, {"seed.data": 6})
        self.make("c", "mhc", 1, {"seed.data": 5, "seed.init": -1})
        rows = {r["label"]: r for r in table.results(groups.load([self.dir]))}
        self.assertEqual((rows["mhc"]["n_seeds"], rows["mhc"]["n_pairs"]), (2, 1))

    def test_same_seed_twice(self):
        self.make("a", "mhc", 1)
        self.make("b", "mhc", 1)
        with self.assertRaisesRegex(UsageError, "seed 1"):
            groups.load([self.dir])


class Escapes(Scratch):
    """A label from a run's files cannot steer a terminal or become markup."""

    def test_label_with_controls_and_markup(self):
        self.make("a", "mhc", 1, label="a|b <script> `x` $\\frac{$ \x1b[31m\r\u202e\n| c")
        found = groups.load([self.dir], title="<i>\x07|")
        rows = table.results(found)
        shown = table.text(found, rows) + "".join(found.left_out())
        self.assertEqual([c for c in shown if not c.isprintable() and c != "\n"], [])
        self.assertEqual(len(table.text(found, rows).splitlines()), 2)
        page = table.markdown(found, rows)
        self.assertNotIn("<", page)
        line = next(x for x in page.splitlines() if "script" in x)
        cells = re.split(r"(?<!\\)\|", line)
        self.assertEqual(len(cells), len(table.titles(found)) + 2)
        self.assertIn(r"a\|b &lt;script&gt; \`x\` \$", cells[1])

    def test_folder_name_of_a_run_left_out(self):
        self.make("ok", "mhc", 1)
        self.make("\x1b[2J|<b>", "mhc", 2, status="unfinished")
        found = groups.load([self.dir])
        self.assertIn(r"\x1b[2J|<b>: unfinished", found.left_out()[0])
        self.assertIn(r"\\x1b\[2J\|&lt;b&gt;", table.left_out(found))


class LeftOut(Scratch):
    def check(self, words):
        self.make("ok", "mhc", 1)
        found = groups.load([self.dir])
        self.assertEqual([r.path.name for r in found.runs], ["ok"])
        self.assertEqual(len(found.left_out()), 1)
        self.assertIn("/x: ", found.left_out()[0])
        self.assertRegex(found.left_out()[0], words)
        return table.results(found)

    def test_unfinished(self):
        self.make("x", "mhc", 2, status="unfinished")
        rows = self.check("unfinished, its log is at step 200 of 200")
        self.assertEqual((rows[0]["n_unfinished"], rows[0]["note"]), (1, "n<3, 1 unfinished"))

    def test_empty_summary_of_a_run_that_was_cut(self):
        self.make("x", "mhc", 2)
        (self.dir / "x" / "summary.json").write_text("")
        self.check("not JSON")

    def test_diverged(self):
        self.make("x", "mhc", 2, status="diverged")
        self.assertEqual(self.check("diverged by step 200")[0]["n_diverged"], 1)

    def test_log_that_does_not_reach_the_summary(self):
        self.make("x", "mhc", 2)
        log = self.dir / "x" / "metrics.jsonl"
        log.write_text("".join(log.read_text().splitlines(keepends=True)[:4]))
        self.check("metrics.jsonl ends at step 40, summary.json says 200")

    def test_probes_that_do_not_reach_the_summary(self):
        self.make("x", "mhc", 2)
        log = self.dir / "x" / "depth.jsonl"
        log.write_text("".join(log.read_text().splitlines(keepends=True)[:-1]))
        self.check("depth.jsonl ends at step 100, summary.json says 200")

    def test_damaged_matrix(self):
        self.make("x", "mhc", 2)
        path = self.dir / "x" / "matrix" / "step_00000200.safetensors"
        path.write_bytes(path.read_bytes()[:-40])
        self.check("step_00000200.safetensors is not a whole")

    def test_only_damaged_runs_is_an_error(self):
        self.make("x", "mhc", 2)
        (self.dir / "x" / "config.toml").write_bytes(b"\xff")
        with self.assertRaisesRegex(InputError, "config.toml is not UTF-8 text .byte 0"):
            groups.load([self.dir])


class Damaged(Scratch):
    NAMES = ("config.toml", "summary.json", "metrics.jsonl", "depth.jsonl", "STATUS",
             "timing.json", "manifest.json", "matrix/step_00000200.safetensors")  # fmt: skip
    PIECES = (b"", b"\xff", b"1e999", b"[]", b"null", b'"x"', b"{", b"}", b"-1", b"NaN", b"\n",
              b"9" * 400, b"[" * 3000, b"\x00", b"true", b'{"a":1}')  # fmt: skip

    def outcome(self):
        """Exit code and standard error of figures.py, drawing left out."""
        out, err = io.StringIO(), io.StringIO()
        with (
            redirect_stdout(out),
            redirect_stderr(err),
            mock.patch.object(figures, "draw_all", lambda options, experiment, say: ([], [])),
        ):
            code = figures.main(["-q", str(self.dir / "runs"), "-o", str(self.dir / "out")])
        return code, out.getvalue(), err.getvalue()

    def expect_clean(self, name):
        """No traceback; what is refused or left out is named in one line."""
        code, out, err = self.outcome()
        self.assertIn(code, (0, 2, 4))
        self.assertEqual(err.count("\n"), 0 if code == 0 else 1, err)
        left_out = [line for line in out.splitlines() if line.startswith("left out")]
        if code == 4:
            self.assertIn(name, err)
        return code, err, left_out

    def test_300_mutations(self):
        self.make("runs/good", "mhc", 1)
        self.make("whole", "mhc", 2)
        (self.dir / "whole" / "manifest.json").write_text('{"data": {"fingerprint": "ab"}}')
        rng = random.Random(1)
        seen = set()
        for _ in range(300):
            shutil.rmtree(self.dir / "runs" / "bad", ignore_errors=True)
            shutil.copytree(self.dir / "whole", self.dir / "runs" / "bad")
            name = rng.choice(self.NAMES)
            path = self.dir / "runs" / "bad" / name
            blob = bytearray(path.read_bytes())
            for _ in range(rng.randint(1, 3)):
                at = rng.randrange(len(blob) + 1)
                blob[at : at + rng.randint(0, 6)] = rng.choice(self.PIECES)
            path.write_bytes(blob)
            with self.subTest(name=name, blob=bytes(blob[:80])):
                code, _, left_out = self.expect_clean(name)
                seen.add((code, bool(left_out)))
        self.assertIn((0, True), seen)  # some were left out
        self.assertIn((0, False), seen)  # some were harmless

    def test_known_damages(self):
        """One of each kind that once ended in a traceback."""
        damages = {
            "STATUS": [b"d\xefne\n"],
            "config.toml": [b"[train]\nseed = 1\xff\n"],
            "metrics.jsonl": [
                b'{"step":1e999,"tokens":0}\n{"step":10}\n',
                b'{"step":0,"tokens":"x"}\n{"step":10}\n',
                b'{"step":0,"tokens":[]}\n{"step":10}\n',
                b"\xff\n{}\n",
                b'{"step":0,"tokens":' + b"9" * 400 + b'}\n{"step":10}\n',
            ],
            "depth.jsonl": [
                b'{"step":0,"depth":1e999}\n{"step":10,"depth":0}\n',
                b'{"step":0,"depth":0,"pgrad_q":3,"read_rms":"x"}\n{"step":10,"depth":0}\n',
                b'{"step":0,"depth":0,"read_rms":1e9999999}\n\xfe\n{}\n',
            ],
            "summary.json": [
                b'{"mixer":"mhc","seed":1e999}',
                b'{"mixer":"mhc","seed":[]}',
                b'{"mixer":"mhc","seed":NaN}',
                b"null",
                b"[1,2]",
            ],
        }
        for name, blobs in damages.items():
            for blob in blobs:
                with self.subTest(name=name, blob=blob):
                    shutil.rmtree(self.dir / "runs", ignore_errors=True)
                    self.make("runs/bad", "mhc", 1)
                    (self.dir / "runs" / "bad" / name).write_bytes(blob)
                    code, err, _ = self.expect_clean(name)
                    self.assertEqual(code, 4)
                    self.assertIn(name, err)

    @unittest.skipIf(os.geteuid() == 0, "root may read every file")
    def test_unreadable_file(self):
        self.make("runs/bad", "mhc", 1)
        (self.dir / "runs" / "bad" / "summary.json").chmod(0)
        self.assertIn("summary.json: Permission denied", self.expect_clean("summary.json")[1])


if __name__ == "__main__":
    unittest.main()
