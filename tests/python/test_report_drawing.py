"""What the page of plumb report is drawn with: scales, charts, matrices, colours.

Run: python3 -m unittest -v (here).
"""

import io
import math
import re
import sys
import unittest
from pathlib import Path

import numpy as np
from matplotlib import image

HERE = Path(__file__).resolve().parent
SCRIPTS = HERE.parents[1] / "scripts"
sys.path[:0] = [str(HERE), str(SCRIPTS)]

from plumb.report import charts, heat, intervals, markup, matrix, svg  # noqa: E402


class Network:
    """As much of a run as is needed to count."""

    def __init__(self, n_sublayers, n_probes, ways=()):
        self.n_sublayers, self.n_probes, self.ways = n_sublayers, n_probes, ways

    def matrix_steps(self):
        return list(range(self.n_probes))


class Heat(unittest.TestCase):
    def test_one_byte_keeps_a_value_to_its_share_of_the_root(self):
        rng = np.random.default_rng(3)
        m = np.tril(rng.normal(0, 0.3, (9, 9)))
        top, data = heat.encode(m)
        self.assertEqual(len(data), 45)
        back = heat.decode(top, data, 9)
        roots = np.sign(m) * np.sqrt(np.abs(m) / top), np.sign(back) * np.sqrt(np.abs(back) / top)
        self.assertLessEqual(np.abs(roots[0] - roots[1]).max(), 0.5 / 127 + 1e-12)

    def test_small_pictures_hold_the_matrix(self):
        data = heat.png(np.tril(np.ones((5, 5))), 1.0)
        self.assertEqual(data[:8], b"\x89PNG\r\n\x1a\n")
        pixels = image.imread(io.BytesIO(data))
        self.assertEqual(pixels.shape[:2], (5, 5))
        self.assertEqual(pixels[0, 4, 3], 0)  # unseen: transparent
        last = heat.colors()[-1]
        shown = [round(255 * c) for c in pixels[4, 0, :3]]
        self.assertEqual(shown, [int(last[i : i + 2], 16) for i in (1, 3, 5)])

    def test_a_deep_network_gets_fewer_probes(self):
        groups = {f"v{i}": [Network(192, 20)] * 5 for i in range(7)}
        most, each_seed = matrix.frugal(groups)
        self.assertFalse(each_seed)
        self.assertLessEqual(matrix.size_of(groups, most, each_seed), heat.BUDGET)
        self.assertEqual(matrix.frugal({"v": [Network(24, 11)] * 3}), (11, True))
        one, apart = ({"v": [Network(24, 12, ways)] * 3} for ways in ((), ("k", "v")))
        self.assertEqual(matrix.size_of(apart, 12, True), 3 * matrix.size_of(one, 12, True))
        self.assertEqual(
            [*matrix.quantities(apart)], ["share", "mean", "share.k", "mean.k", "share.v", "mean.v"]
        )

    def test_fewer_keeps_both_ends(self):
        self.assertEqual(heat.fewer(list(range(11)), 3), [0, 5, 10])
        self.assertEqual(heat.fewer([1, 2], 6), [1, 2])


class Drawing(unittest.TestCase):
    def test_thinning_keeps_the_extremes(self):
        rng = np.random.default_rng(1)
        y = rng.normal(0, 1, 5000).tolist()
        y[1234], y[4321] = 50.0, -50.0
        kept = charts.thinned(y)
        self.assertLessEqual(len(kept), charts.MOST_POINTS)
        self.assertLessEqual({0, 1234, 4321, 4999}, set(kept))
        self.assertEqual(charts.thinned([1.0] * 7), list(range(7)))

    def test_no_tick_between_two_blocks(self):
        chart = charts.Chart("c", "transformer block", "y", "told", half=True)
        for x in ([1, 2, 3], [1, 2], [1, 2, 3, 4, 5, 6], [3]):
            drawn = charts.lines(chart, [charts.Series("a", "s0", x, [float(v) for v in x])])
            ticks = re.findall(r'text-anchor="middle">([^<]+)</text>', drawn)
            ticks = [float(t) for t in ticks if t != "transformer block"]
            self.assertTrue(ticks and set(ticks) <= set(x), ticks)
        half = charts.lines(chart, [charts.Series("a", "s0", [1, 1.5, 2], [1.0, 2.0, 3.0])])
        self.assertIn(">1.5</text>", half)

    def test_ticks_are_round_and_inside(self):
        self.assertEqual(svg.linear_ticks(0.0, 1.0, 5), [0, 0.2, 0.4, 0.6, 0.8, 1.0])
        self.assertEqual(svg.log_ticks(0.9, 120, 4), [1, 3, 10, 30, 100])
        for low, high in ((1e-7, 3e-7), (0.31, 0.32), (2, 9e5)):
            ticks = svg.log_ticks(low, high, 5)
            self.assertGreater(len(ticks), 1)
            self.assertTrue(all(low * 0.999 <= t <= high * 1.001 for t in ticks))

    def test_tick_texts(self):
        texts = [svg.tick_text(v) for v in (0, 0.02, -0.5, 2e-5, 1e6)]
        self.assertEqual(texts, ["0", "0.02", "−0.5", "2·10⁻⁵", "10⁶"])

    def test_numbers_below_an_axis_do_not_touch(self):
        frame = svg.Frame(360, 200, 40, 346, 10, 150)
        x = svg.Scale(-0.0612, 0.0907).at(40, 346)
        ends = [
            (x(t) - svg.text_width(w) / 2, x(t) + svg.text_width(w) / 2)
            for t, w in frame.x_ticks(x, 9)
        ]
        self.assertGreater(len(ends), 1)
        self.assertTrue(all(b[0] > a[1] for a, b in zip(ends, ends[1:])))

    def test_names_are_moved_apart(self):
        y = svg.spread([100, 101, 50, 102], 14, 0, 110)
        order = sorted(y)
        self.assertTrue(all(b - a >= 14 - 1e-9 for a, b in zip(order, order[1:])))
        self.assertEqual(max(y), 110)
        self.assertEqual(y[2], 50)

    def test_long_names_are_cut_in_the_middle(self):
        short = svg.fit("attnres_block block_size=12 lr=0.001", 120)
        self.assertLessEqual(svg.text_width(short), 120)
        self.assertRegex(short, "^at.*….*1$")

    def test_scales_are_undone_by_their_value(self):
        for kind in ("linear", "log", "symlog"):
            s = svg.Scale(0.5, 40, kind=kind, knee=0.1)
            self.assertAlmostEqual(s.value(s.place(3.7)), 3.7)
        s = svg.Scale(1, 100, 0, 10, "log")
        self.assertAlmostEqual(s(10), 5)
        self.assertEqual((s(1e-9), s(1e9)), (0, 10))

    def test_a_gap_breaks_a_line(self):
        chart = charts.Chart("c", "x", "y", "told")
        drawn = charts.lines(
            chart, [charts.Series("a", "s0", [1, 2, 3, 4, 5], [1, 2, None, 4, math.nan])]
        )
        self.assertEqual(len(re.findall(r'class="line s0"', drawn.split("narrow")[0])), 2)
        self.assertNotIn("nan", drawn)

    def test_sentences(self):
        found = [markup.capital(w) for w in ("matched: all", "train.lr = 1", "Why?")]
        self.assertEqual(found, ["Matched: all.", "train.lr = 1.", "Why?"])
        self.assertEqual(markup.prose("95 % of <b>"), "95&nbsp;% of &lt;b&gt;")
        self.assertEqual(markup.question("a `b<` c"), "a <code>b&lt;</code> c")

    def test_names_may_be_broken_after_marks(self):
        self.assertEqual(markup.breakable("mhc lr=0.1"), "mhc lr=<wbr>0.<wbr>1")
        longest = max(map(len, markup.breakable("x" * 50 + "_block").split("<wbr>")))
        self.assertLessEqual(longest, markup.LONGEST)

    def test_an_unknown_number_is_a_dash(self):
        self.assertEqual(markup.number(math.nan), "–")
        self.assertEqual(markup.number(-0.03871, 4, True), "\N{MINUS SIGN}0.0387")

    def test_names_of_points_do_not_lie_on_each_other(self):
        frame = svg.Frame(360, 300, 50, 346, 30, 254)
        x, y = svg.Scale(0, 10).at(50, 346), svg.Scale(0, 10).at(254, 30)
        points = [intervals.Point(f"name{i}", "s0", 5 + 0.3 * i, 5, 0.4) for i in range(3)]
        places = intervals.name_places(points, [p.label for p in points], x, y, frame)
        boxes = []
        for (a, b, anchor), p in zip(places, points):
            w = svg.text_width(p.label)
            boxes.append((a - w, a, b - 11, b + 3) if anchor else (a, a + w, b - 11, b + 3))
        for i, (a, b, c, d) in enumerate(boxes):
            for e, f, g, h in boxes[i + 1 :]:
                self.assertFalse(min(b, f) - max(a, e) > 1 and min(d, h) - max(c, g) > 1)

    def test_forest_rows_say_their_numbers(self):
        rows = [intervals.Row("a", "s0", -0.0387, -0.0467, -0.0307, [(1, -0.04)])]
        drawn = intervals.forest(rows, "minus b", 0.005, "told")
        words = "−0.0387 [−0.0467, −0.0307]"
        self.assertEqual(drawn.count(words), 2)
        self.assertEqual(intervals.forest(rows, "minus b", 0, "told", narrow=True).count(words), 1)
        self.assertEqual(drawn.count('class="margin"'), 2)
        self.assertIn("<title>seed 1: −0.0400</title>", drawn)


class Colours(unittest.TestCase):
    """WCAG: 4.5 for text; names of variants are written in their colours."""

    def schemes(self):
        css = (SCRIPTS / "plumb/report/style.css").read_text()
        light = re.search(r":root \{(.*?)\}", css, re.S)[1]
        dark = re.search(r"prefers-color-scheme: dark\) \{ :root \{(.*?)\}", css, re.S)[1]
        return [dict(re.findall(r"--([\w-]+): (#\w+);", part)) for part in (light, dark)]

    @staticmethod
    def light(color):
        color = color[1:] if len(color) == 7 else "".join(2 * c for c in color[1:])
        parts = [int(color[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        parts = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return float(np.dot((0.2126, 0.7152, 0.0722), parts))

    def contrast(self, a, b):
        x, y = sorted((self.light(a), self.light(b)), reverse=True)
        return (x + 0.05) / (y + 0.05)

    def test_every_colour_of_text_is_legible(self):
        for colors in self.schemes():
            text = ["fg", "mut", "link", "good", "bad", *(f"s{i}" for i in range(13))]
            for name in text:
                for behind in ("bg", "card"):
                    self.assertGreaterEqual(
                        self.contrast(colors[name], colors[behind]), 4.5, (name, behind)
                    )
            self.assertGreaterEqual(self.contrast(colors["fg"], colors["warn"]), 4.5)
            self.assertGreaterEqual(self.contrast(colors["fg"], colors["margin"]), 4.5)


if __name__ == "__main__":
    unittest.main()
