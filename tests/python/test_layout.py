"""Figures survive ablations: rendered with twelve variants whose labels have forty letters, nothing
is cut, overlaps or leaves the page. Run: python3 -m unittest -v (here).
"""

import csv
import json
import shutil
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "scripts")]

import boxes  # noqa: E402
import matplotlib.pyplot as plt  # noqa: E402
import synthetic  # noqa: E402
from plumb.figures import cli as figures  # noqa: E402
from plumb.figures import layout, over_training, reference, style  # noqa: E402
from plumb.reading import groups  # noqa: E402

REFERENCE = json.dumps({f"{q}_{v}": [2, 1] for q in reference.QUANTITIES for v in reference.PAPER})


def long_label(k):
    return f"{k:02d} " + ("a label with spaces, and $\\frac{$ | <b>" if k % 2 else "x" * 37)


def make_twelve(folder, label=long_label, n=24):
    for k in range(12):
        mixer = synthetic.MIXERS[k % 7]
        settings = {"train.lr": 0.001 * (k // 7 + 1)}
        if k in (12 - 1, 12 - 2):
            mixer, settings["mixer.freeze"] = "attnres", '["query"]'
            settings["train.lr"] = 0.001 * (1 + (k == 11))
        for seed in (1, 2):
            options = {"n": n, "steps": 200, "schema": 2, "label": label(k)}
            synthetic.make_run(folder / f"{k}-{seed}", mixer, seed, settings=settings, **options)


class Survives(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.dir)
        make_twelve(cls.dir / "runs")
        (cls.dir / "paper.json").write_text(REFERENCE)
        cls.pages = {}
        paper = ["--reference", str(cls.dir / "paper.json")]
        options = figures.arguments([str(cls.dir / "runs"), "-o", str(cls.dir), *paper])
        style.use()
        cls.experiment = groups.load(options.runs, title="a title of many words " * 6)

        def keep(page, out, name):
            cls.pages[name] = page
            return []

        with mock.patch.object(style, "save", keep):
            _, cls.skipped = figures.draw_all(options, cls.experiment, lambda line: None)
        cls.addClassCleanup(plt.close, "all")

    def test_every_figure_was_drawn(self):
        self.assertEqual(self.skipped, [])
        self.assertEqual(len(self.pages), 10)

    def test_nothing_is_cut_or_overlaps(self):
        for name, page in self.pages.items():
            with self.subTest(figure=name):
                self.assertEqual(boxes.complaints(page), [])

    def test_every_label_is_whole_in_the_key_or_a_title(self):
        for name in ("loss_curves", "shares", "matrix", "magnitudes", "forest", over_training.NAME):
            shown = "".join(t.get_text() for t, _, _ in boxes.texts_of(self.pages[name]))
            shown = "".join(shown.replace(r"\$", "$").split())
            for label in self.experiment.variants:
                if name == "forest" and not self.experiment.baseline_of(label):
                    continue
                self.assertIn("".join(label.split()), shown, name)

    def test_curves_stay_inside_their_axes(self):
        for name in ("loss_curves", "shares", "reads", "gradients", "magnitudes", "forest", "bookkeeping"):
            for ax in self.pages[name].axes:
                self.assertEqual(boxes.curves_outside(ax), 0, name)

    def test_captions_say_n_and_tokens(self):
        for name, page in self.pages.items():
            self.assertIn("n = 2 seeds, 1.64 M tokens", page.texts[1].get_text(), name)

    def test_attention_and_mlp_are_apart(self):
        left, right = self.pages["shares"].axes[:2]
        self.assertTrue(all(x % 2 == 1 for line in left.lines for x in line.get_xdata()))
        self.assertTrue(all(x % 2 == 0 for line in right.lines for x in line.get_xdata()))
        self.assertEqual(left.get_ylim(), right.get_ylim())

    def test_matrices_share_one_scale(self):
        images = [c for ax in self.pages["matrix"].axes[:36] for c in ax.collections]
        limits = {c.get_clim() for c in images if c.get_array() is not None}
        self.assertEqual(limits, {(-1.0, 1.0)})

    def test_bands_that_are_cut_are_said_and_no_others(self):
        seen = set()
        for name in ("loss_curves", "shares", "reads", "gradients", "magnitudes", "bookkeeping"):
            page = self.pages[name]
            cut = any(boxes.bands_outside(ax) for ax in page.axes)
            caption = " ".join(page.texts[1].get_text().split())
            self.assertEqual(cut, "bands cut at the edge" in caption, name)
            seen.add(cut)
        self.assertEqual(seen, {True, False})

    def test_seeds_do_not_hide_under_their_interval(self):
        (ax,) = self.pages["forest"].axes
        dots = {line.get_ydata()[0] for line in ax.lines if line.get_marker() == "o"}
        others = {line.get_ydata()[0] for line in ax.lines if line.get_marker() != "o"}
        self.assertEqual((len(dots), dots & others), (10, set()))


class OtherBlocks(unittest.TestCase):
    """Variants of other blocks than an attention and an MLP, beside one of those."""

    PATTERNS = {"plain": None, "two": '["attn", "attn", "mlp"]', "mlps": '["mlp"]'}

    def setUp(self):
        self.dir = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir)
        for label, pattern in self.PATTERNS.items():
            settings = {"model.pattern": pattern} if pattern else {}
            for seed in (1, 2):
                options = {"n": 12, "steps": 200, "schema": 2, "label": label}
                where = self.dir / "runs" / f"{label}-{seed}"
                synthetic.make_run(where, "attnres", seed, settings=settings, **options)

    def drawn(self, labels):
        chosen = [str(self.dir / "runs" / f"{k}-{seed}") for k in labels for seed in (1, 2)]
        options = figures.arguments([*chosen, "-o", str(self.dir / "out")])
        style.use()
        experiment, pages = groups.load(options.runs), {}

        def keep(page, out, name):
            pages[name] = page
            return []

        (self.dir / "out").mkdir(exist_ok=True)
        with mock.patch.object(style, "save", keep):
            figures.draw_all(options, experiment, lambda line: None)
        self.addCleanup(plt.close, "all")
        return pages

    def test_kinds_are_apart_and_nothing_overlaps(self):
        for labels in (["two"], [*self.PATTERNS]):
            plt.close("all")
            pages = self.drawn(labels)
            for name, page in pages.items():
                with self.subTest(figure=name, labels=labels):
                    self.assertEqual(boxes.complaints(page), [])
            axes = pages["shares"].axes
            kinds = [ax.get_title(loc="left") for ax in axes[:2]]
            self.assertEqual(kinds, ["attention", "MLP"])
            drawn = {tuple(line.get_xdata()) for line in axes[1].lines}
            of = {"two": (3, 6, 9, 12), "mlps": (*range(1, 13),), "plain": (2, 4, 6, 8, 10, 12)}
            self.assertEqual(drawn, {of[k] for k in labels})
            # Blocks of different sizes have no axis of their own.
            words = "sublayer" if len(labels) > 1 else "transformer block"
            self.assertIn(words, {ax.get_xlabel() for ax in axes})
        with open(self.dir / "out" / "matrix.csv") as f:
            sites = {(r["label"], r["sublayer"]): r["site"] for r in csv.DictReader(f)}
        self.assertEqual(sites["two", "5"], "layer.1.attn2")
        self.assertEqual((sites["mlps", "5"], sites["plain", "5"]), ("layer.4.mlp", "layer.2.attn"))


class Wrapping(unittest.TestCase):
    def test_lines_fit_and_nothing_is_lost(self):
        for text in ("one two three " * 9, "x" * 200, "a " + "y" * 90 + " b"):
            lines = layout.wrapped(text, 8, 1.5)
            self.assertTrue(all(layout.width_of(line, 8) <= 1.5 for line in lines))
            self.assertEqual("".join("".join(lines).split()), "".join(text.split()))

    def test_checker_sees_what_is_wrong(self):
        fig = plt.figure(figsize=(2, 2))
        self.addCleanup(plt.close, fig)
        ax = fig.add_axes((0.2, 0.2, 0.6, 0.6))
        fig.text(0.9, 0.05, "leaves the page at the right")
        fig.text(0.4, 0.5, "on a panel")
        ax.plot([0, 1], [0, 9])
        ax.set_ylim(0, 1)
        said = " ".join(boxes.complaints(fig))
        self.assertIn("leaves the page: 'leaves", said)
        self.assertIn("on another panel: 'on a panel'", said)
        self.assertEqual(boxes.curves_outside(ax), 1)


if __name__ == "__main__":
    unittest.main()
