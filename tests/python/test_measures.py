"""What figures set beside one another is comparable, by the program's own table of measures. Run:
python3 -m unittest -v (here), with build/release/plumb built.
"""

import json
import shutil
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "scripts")]

from plumb.figures import bookkeeping, magnitudes, over_training, profiles  # noqa: E402
from plumb.reading import measures  # noqa: E402


@unittest.skipUnless(measures.of_program(), "no program that lists its measures")
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


if __name__ == "__main__":
    unittest.main()
