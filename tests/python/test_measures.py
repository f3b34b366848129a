"""What figures set beside one another is comparable, by the program's own table of measures. Run:
python3 -m unittest -v (here), with build/release/plumb built.
"""

import json
import os
import shutil
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "scripts")]

from plumb.comparison import question  # noqa: E402
from plumb.figures import bookkeeping, magnitudes, over_training, profiles  # noqa: E402
from plumb.reading import files, groups, measures, places, program, runs  # noqa: E402
from plumb.report import matrix as report_matrix  # noqa: E402
from with_program import needs_program  # noqa: E402


@needs_program
class Comparable(unittest.TestCase):
    def test_every_measure_drawn_across_mixers_is(self):
        drawn = [k for _, rows in profiles.FIGURES.values() for row in rows for k in row]
        for key in (*drawn, over_training.MEASURE, bookkeeping.PANELS[-1]):
            self.assertIs(measures.describe(key).comparable, True, key)

    def test_raw_magnitudes_are_not(self):
        for key in ("read_rms", "stream_rms", *bookkeeping.PANELS[:-1]):
            self.assertIs(measures.describe(key).comparable, False, key)
        self.assertLessEqual({"read_rms", "stream_rms"}, {k for k, _, _ in magnitudes.LINES})


class Names(unittest.TestCase):
    def setUp(self):
        self.dir = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir)
        self.addCleanup(measures.learn, [])
        patch = mock.patch.object(measures, "of_program", lambda: {})
        patch.start()
        self.addCleanup(patch.stop)

    def learn(self, text):
        (self.dir / "measures.json").write_text(text)
        measures.learn([self.dir / "absent", self.dir])

    def test_without_a_table_the_key_is_the_name(self):
        for text in ("", "{", "7", '[{"key": "write_share"}]', "[" * 5000):
            self.learn(text)
            self.assertEqual(measures.axis_label("write_share"), "write share")
            self.assertIsNone(measures.describe("write_share").comparable)

    def test_a_run_says_what_its_numbers_are(self):
        rows = [("a", "size", "nats", True), ("b", "part", "1", False)]
        names = ("key", "name", "unit", "comparable")
        self.learn(json.dumps([dict(zip(names, row)) for row in rows]))
        self.assertEqual([measures.axis_label(k) for k in "ab"], ["size (nats)", "part"])
        self.assertEqual([measures.describe(k).comparable for k in "ab"], [True, False])


class Program(unittest.TestCase):
    """What is asked of a program: one that says what it is told to."""

    def setUp(self):
        self.dir = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir)
        self.addCleanup(self.forget)
        patch = mock.patch.dict(os.environ, PLUMB=str(self.dir / "plumb"))
        patch.start()
        self.addCleanup(patch.stop)

    def forget(self):
        program.listed.cache_clear()
        measures.of_program.cache_clear()
        measures.learn([])

    def says(self, text):
        script = self.dir / "plumb"
        script.write_text(f'#!/bin/sh\n[ "$1 $3" = "list --json" ] && cat {self.dir}/$2\n')
        script.chmod(0o755)
        for kind in ("mixers", "measures", "sublayers", "numerics"):
            (self.dir / kind).write_text(text)
        self.forget()

    def test_none_or_one_that_says_nothing_sensible_lists_nothing(self):
        self.forget()
        self.assertEqual(program.listed("mixers"), [])
        for text in ("", "{", "7", "[7]", '[{"key": "a"}]', "[" * 5000):
            self.says(text)
            self.assertEqual(measures.of_program(), {}, text)
            self.assertIsNone(measures.describe("a").less_is_better)
            self.assertEqual((program.sublayer_titles(), program.numerics_changes()), ({}, []))
        self.assertEqual(program.mixer_rank(), {})

    def test_sublayers_are_called_as_the_program_calls_them(self):
        self.says('[{"name": "attn", "title": "looking about"}, {"name": "new", "title": "x"}]')
        self.assertEqual([places.word(k) for k in places.KINDS], ["looking about", "mlp"])
        self.assertEqual(places.Layout(4).order, "odd: looking about, even: mlp")

    def test_tensors_of_a_matrix_are_called_and_explained_as_the_program_does(self):
        row = {"key": "mean", "name": "weights", "unit": "1", "comparable": False}
        self.says(json.dumps([row | {"meaning": "How much of it."}]))
        self.assertEqual(report_matrix.quantities({}), {"share": "share", "mean": "weights"})
        self.assertTrue(report_matrix.scale_words("mean").startswith("How much of it. Colours"))
        self.assertTrue(report_matrix.scale_words("share").startswith("Colours"))

    def test_a_change_of_numbers_is_about_the_runs_that_its_row_says(self):
        rows = [{"since": 2, "key": "a.b", "default": 0.5}, {"since": 3, "key": "", "default": None}]
        self.says(json.dumps(rows))
        (two, of_some), (three, of_all) = program.numerics_changes()
        self.assertEqual((two, three), (2, 3))
        self.assertEqual([of_some({"a.b": x}) for x in (0.5, 0.1)], [False, True])
        self.assertEqual([of_some({}), of_all({})], [False, True])

    def test_mixers_stand_as_the_program_lists_them_and_others_by_name(self):
        self.says('[{"name": "zebra"}, {"name": "ant"}]')
        found = [groups.Variant(m, {"mixer.name": m}) for m in ("cow", "ant", "bee", "zebra")]
        order = [v.mixer for v in groups.in_order(found)]
        self.assertEqual(order, ["zebra", "ant", "bee", "cow"])

    def test_what_is_better_is_the_measures_to_say(self):
        rows = [
            {"key": "tok_per_s", "name": "speed", "unit": "tokens/s", "better": "more"},
            {"key": "val/loss", "name": "loss here", "unit": "bits", "better": "less"},
        ]
        self.says(json.dumps([row | {"comparable": True} for row in rows]))
        speed = question.ask(runs.Runs([]), metric="tok_per_s")
        self.assertEqual((speed.name, speed.unit), ("speed", "tokens/s"))
        self.assertFalse(speed.less_is_better)
        at = question.ask(runs.Runs([]), at="tokens=1e6")
        self.assertEqual((at.name, at.unit), ("loss here at 1e+06 tokens", "bits"))
        self.assertTrue(at.less_is_better)
        self.says("")
        self.assertTrue(question.ask(runs.Runs([]), metric="final_val_loss").less_is_better)
        with self.assertRaisesRegex(files.UsageError, "PLUMB"):
            question.ask(runs.Runs([]), metric="tok_per_s")


if __name__ == "__main__":
    unittest.main()
