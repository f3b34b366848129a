"""The model of a step's time is the sum counted by hand, for a model counted by hand."""

import importlib.machinery
import importlib.util
import pathlib
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "step_model"


def load():
    loader = importlib.machinery.SourceFileLoader("step_model", str(SCRIPT))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("step_model", loader))
    loader.exec_module(module)
    return module


def passes():
    """24 blocks of width 1024, SwiGLU of 2816, 2048 tokens of two sequences."""
    c, f, blocks, tokens, context = 1024, 2816, 24, 2048, 1024
    return {
        "layers": blocks, "width": c, "precision": "bf16", "tokens": tokens,
        "sublayers": 2 * blocks, "row_bytes": 2 * c,
        "model": {
            "weights": blocks * (4 * c * c + 3 * c * f),
            "attention_flops": blocks * 12 * c * (context + 1) / 2,
            "attention_numbers": blocks * 4 * c,
            "activation_numbers": blocks * 9 * f,
        },
        "mixers": [
            {"label": "standard", "forward": {"rows": 7.1, "floor_rows": 7},
             "backward": {"rows": 7.1, "floor_rows": 7}},
            {"label": "mudd", "forward": {"rows": 20, "floor_rows": None},
             "backward": {"rows": 80, "floor_rows": None}},
        ],
    }  # fmt: skip


class StepModel(unittest.TestCase):
    def test_sums_are_those_counted_by_hand(self):
        # 342 M parameters: 4.2 TFLOP of products and 0.3 of attention, 11.6 GB of the update;
        # 16 rows of 2 KiB for each of 48 sublayers and 2048 tokens; 528 kernels.
        m = load()
        of = m.parts(passes(), 7, 7, m.options(["-"]))
        self.assertAlmostEqual(of["products"], (4.2 + 0.3) / 650 * 1e3, delta=0.15)
        self.assertAlmostEqual(of["update"], 342e6 * 34 / 3.35e9, delta=0.05)
        self.assertAlmostEqual(of["mixer"], 16 * 2048 * 48 * 2048 / 3.35e9, delta=1e-9)
        self.assertAlmostEqual(of["other rows"], 0.74 + 0.3 + 0.12, delta=0.05)
        self.assertAlmostEqual(of["starts"], 0.528, delta=1e-9)
        self.assertAlmostEqual(sum(of.values()), 13.2, delta=0.4)

    def test_a_mixer_without_a_floor_has_one_line(self):
        m = load()
        lines = list(m.table(passes(), m.options(["-"])))
        self.assertEqual(len(lines), 4)
        self.assertIn("floor", lines[2])
        self.assertTrue(lines[3].startswith("mudd      as counted"))


if __name__ == "__main__":
    unittest.main()
