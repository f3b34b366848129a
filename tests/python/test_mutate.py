"""The faults that scripts/mutate plants can still be planted. Run: python3 -m unittest -v (here)."""

import tomllib
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Faults(unittest.TestCase):
    def test_every_line_is_there_once_and_becomes_another(self):
        faults = tomllib.loads((ROOT / "tests" / "faults.toml").read_text())["fault"]
        self.assertGreaterEqual(len(faults), 40)
        for fault in faults:
            with self.subTest(fault["file"], find=fault["find"]):
                self.assertEqual((ROOT / fault["file"]).read_text().count(fault["find"]), 1)
                self.assertNotEqual(fault["find"], fault["put"])
        planted = [(f["file"], f["put"], f["find"]) for f in faults]
        self.assertEqual(len(planted), len(set(planted)))


if __name__ == "__main__":
    unittest.main()
