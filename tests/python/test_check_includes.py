"""The checker of includes sees what breaks the arrows, and the source breaks none."""

import importlib.machinery
import importlib.util
import pathlib
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "check_includes"

DRAWING = """The spine is core <- ops <- model.

| room | what is in it | uses |
|---|---|---|
| `core` | what stands below | |
| `ops` | operations | core |
| `model` | `ops` in a row | core ops |
"""
SOURCE = {
    "core/view.h": "#pragma once\n#include <vector>\n",
    "ops/linear.h": '#include "core/view.h"\n',
    "ops/linear.cpp": '#include "ops/linear.h"\n\n#include "generated/info.h"\n',
    "model/model.h": '#include "core/view.h"\n#include "ops/linear.h"\n',
}


def load():
    loader = importlib.machinery.SourceFileLoader("check_includes", str(SCRIPT))
    module = importlib.util.module_from_spec(
        importlib.util.spec_from_loader("check_includes", loader)
    )
    loader.exec_module(module)
    return module


class CheckIncludes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.script = load()

    def problems(self, changed=None, drawing=DRAWING):
        """Of a small source tree with some files changed."""
        with tempfile.TemporaryDirectory() as folder:
            src = pathlib.Path(folder) / "src"
            for name, text in {**SOURCE, "README.md": drawing, **(changed or {})}.items():
                (src / name).parent.mkdir(parents=True, exist_ok=True)
                (src / name).write_text(text)
            return list(self.script.all_problems(pathlib.Path(folder)))

    def test_what_follows_the_arrows_passes(self):
        self.assertEqual(self.problems(), [])

    def test_an_include_upwards_is_named(self):
        upward = '#include "ops/linear.h"\n#include "model/model.h"\n'
        self.assertEqual(
            self.problems({"ops/linear.cpp": upward}),
            ["src/ops/linear.cpp:2: ops may not use model: model/model.h"],
        )

    def test_files_in_a_circle_are_named(self):
        circle = {
            "ops/relu.h": '#include "ops/gelu.h"\n',
            "ops/gelu.h": '#include "ops/relu.h"\n',
        }
        self.assertEqual(
            self.problems(circle),
            ["src/: files include each other: ops/gelu.h -> ops/relu.h -> ops/gelu.h"],
        )

    def test_rooms_in_a_circle_are_named(self):
        drawing = DRAWING.replace("| operations | core |", "| operations | core model |")
        self.assertEqual(
            self.problems({"ops/linear.cpp": '#include "model/model.h"\n'}, drawing),
            ["src/README.md: ops uses model, which has no row above it"],
        )

    def test_a_table_that_is_not_true_is_named(self):
        self.assertEqual(
            self.problems({"model/model.h": '#include "ops/linear.h"\n'}),
            ["src/README.md: model uses core, but includes nothing of it"],
        )
        self.assertEqual(
            self.problems({"train/loss.h": ""}),
            ["src/README.md: the table has no row for src/train"],
        )
        self.assertEqual(
            self.problems(drawing=DRAWING.replace("ops <- model", "ops <- core")),
            ["src/README.md: says ops <- core, which is not so in the table"],
        )

    def test_the_source_follows_its_arrows(self):
        self.assertEqual(list(self.script.all_problems(ROOT)), [])
        text = (ROOT / "src/README.md").read_text()
        self.assertIn("mixers", self.script.read_rooms(text)["model"])
        self.assertGreater(len(self.script.read_includes(ROOT)), 300)


if __name__ == "__main__":
    unittest.main()
