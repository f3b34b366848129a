"""The checker of documents finds what does not exist, and the documents name nothing else."""

import importlib.machinery
import importlib.util
import pathlib
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "check_docs"


def load():
    loader = importlib.machinery.SourceFileLoader("check_docs", str(SCRIPT))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("check_docs", loader))
    loader.exec_module(module)
    return module


class CheckDocs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.docs = load()
        cls.repo = cls.docs.Repository()

    def problems(self, span):
        return list(self.docs.problems_of(span, self.repo, ""))

    def test_what_exists_passes(self):
        for span in (
            "core/rng.h",
            "src/mixers/standard.cpp",
            "scripts/figures.py",
            "metrics.jsonl",
            "checkpoints/step_*/",
            "train.lr=1e-3",
            "mixer=standard",
            "plumb train --dry-run",
            "DepthMixer",
            "for_chunks",
            "Sources::do_read",
            "h + v",
        ):
            self.assertEqual(self.problems(span), [], span)

    def test_what_does_not_exist_is_named(self):
        for span, what in (
            ("core/rgn.h", "core/rgn.h"),
            ("ops/no_such_op.*", "ops/no_such_op.*"),
            ("train.laerning_rate=1", "train.laerning_rate"),
            ("plumb tarin", "plumb tarin"),
            ("plumb train --dry-fun", "--dry-fun"),
            ("DepthMixxer", "DepthMixxer"),
            ("AttnRes::for_chunks_of", "AttnRes::for_chunks_of"),
        ):
            self.assertEqual(self.problems(span), [what], span)

    def test_the_documents_tell_the_truth(self):
        self.assertEqual(list(self.docs.all_problems(self.repo)), [])


if __name__ == "__main__":
    unittest.main()
