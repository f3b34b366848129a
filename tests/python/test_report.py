"""plumb report: the page without a browser (scripts/report_test has the browser's part)."""

import base64
import hashlib
import json
import math
import re
import sys
import unittest
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "scripts")]

import report_runs  # noqa: E402
from plumb.report import markup  # noqa: E402
from report_pages import Made, Parsed  # noqa: E402
from with_program import needs_program  # noqa: E402


class ThePage(Made):
    def test_both_were_written(self):
        self.assertEqual(self.code, [0, 0])
        for out in self.out.values():
            names = {p.name for p in out.iterdir()}
            wanted = {
                "index.html",
                "results.csv",
                "timing.csv",
                "table.tex",
                "REPRODUCE.md",
                "card.json",
            }
            self.assertLessEqual(wanted, names)

    def test_is_well_formed(self):
        for parsed in self.parsed.values():
            self.assertEqual(parsed.faults, [])
            ids = parsed.ids()
            self.assertEqual(len(ids), len(set(ids)))

    def test_links_lead_somewhere(self):
        for parsed in self.parsed.values():
            ids = set(parsed.ids())
            for a in parsed.all("a"):
                self.assertIn(a["href"].removeprefix("#"), ids)

    def test_fetches_nothing(self):
        for text, parsed in zip(self.pages.values(), self.parsed.values()):
            self.assertIsNone(re.search(r"https?://|url\(|@import|<iframe|<object|<base", text))
            for tag, a in parsed.elements:
                source = a.get("src", a.get("href", "#") if tag in ("link", "image", "use") else "")
                self.assertRegex(source, r"^(data:|#|$)")
                self.assertFalse([k for k in a if k.startswith("on") or k == "style"], tag)

    def test_policy_names_the_style_and_the_script(self):
        for parsed in self.parsed.values():
            policy = next(a["content"] for a in parsed.all("meta") if "http-equiv" in a)
            self.assertIn("default-src 'none'", policy)
            self.assertNotIn("unsafe", policy)
            for text in (parsed.styles[0], parsed.blocks[""]):
                digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
                self.assertIn(f"'sha256-{digest}'", policy)

    def test_pictures_have_names(self):
        for parsed in self.parsed.values():
            images = [a for _, a in parsed.elements if a.get("role") == "img"]
            self.assertGreater(len(images), 20)
            named = [
                a for a in images if a.get("aria-label") or a.get("id", "").startswith("viewer")
            ]
            self.assertEqual(len(named), len(images))

    def test_is_small(self):
        for text in self.pages.values():
            self.assertLess(len(text.encode()), 600_000)

    def test_sections_stand_in_order(self):
        found = re.findall(r'<section id="([\w-]+)"', self.pages["sweep"])
        order = ["answer", "matched", "curves", "to-loss", "rate", "depth", "gradients", "matrix",
                 "costs", "size", "failures", "settings", "repeat"]  # fmt: skip
        self.assertEqual(found, order)

    def test_what_is_left_out_is_said_with_its_reason(self):
        page = self.pages["runs"]
        self.silent(page, '<section id="rate"')
        self.says(page, "Learning rate: every variant was trained at one learning rate only.")
        self.says(page, "Over sizes: no variant was trained at more than one size.")


class Hostile(Made):
    def test_no_text_of_a_run_becomes_markup(self):
        page, parsed = self.pages["sweep"], self.parsed["sweep"]
        self.silent(page, "<script>window")
        scripts = parsed.all("script")
        self.assertEqual(sum(a.get("type") != "application/json" for a in scripts), 1)
        self.assertTrue(any("<script>window.hacked=1</script>$x_1$" in t for t in parsed.text))

    def test_control_characters_are_shown_as_escapes(self):
        page = self.pages["sweep"] + (self.out["sweep"] / "REPRODUCE.md").read_text()
        self.assertEqual([c for c in page if not c.isprintable() and c != "\n"], [])
        self.says(page, r"\x1b[31m\u202e")

    def test_the_gallery_escapes_too(self):
        out = self.dir / "gallery-hostile"
        report_runs.write_report(
            self.sweep, self.dir / "titled", "--no-figures", "--title", report_runs.HOSTILE
        )
        self.assertEqual(report_runs.write_report(self.dir / "titled", out, "--gallery"), 0)
        text = (out / "index.html").read_text()
        self.silent(text, "<script")
        self.assertEqual(Parsed(text).faults, [])

    def test_data_blocks_end_where_they_should(self):
        block = markup.data_block("x", {"a": "</script><b>", "b": "<!--"})
        self.assertEqual(block.count("<"), 2)
        self.assertEqual(json.loads(block.split(">", 1)[1].rsplit("<", 1)[0])["a"], "</script><b>")


class Numbers(Made):
    def table(self, name, table):
        """[[data-v or text]] of the rows of a table of the page."""
        body = re.search(rf'id="{table}" .*?<tbody>(.*?)</tbody>', self.pages[name], re.S)[1]
        rows = []
        for row in re.findall(r"<tr.*?</tr>", body):
            cells = re.findall(r"<t[hd]([^>]*)>(.*?)</t[hd]>", row)
            values = [re.search(r'data-v="([^"]+)"', a) for a, _ in cells]
            rows.append(
                [float(v[1]) if v else re.sub("<.*?>", "", t) for v, (_, t) in zip(values, cells)]
            )
        return rows

    def test_the_table_says_what_results_csv_says(self):
        shown, wanted = self.table("runs", "results"), self.rows("runs", "results.csv")
        self.assertEqual(len(shown), len(wanted))
        for cells, row in zip(shown, wanted):
            self.assertEqual(cells[0], row["label"])
            self.assertEqual(cells[1], float(row["n_pairs" if row["baseline"] else "n"]))
            for cell, column in zip(cells[2:5], ("mean", "difference", "p_adjusted")):
                if row[column]:
                    self.assertAlmostEqual(cell, float(row[column]), places=9)
                else:
                    self.assertTrue(math.isnan(cell))

    def test_the_forest_says_what_results_csv_says(self):
        for row in self.rows("runs", "results.csv"):
            if row["difference"]:
                words = [
                    markup.number(float(row[k]), 4, True) for k in ("difference", "low", "high")
                ]
                self.says(self.pages["runs"], f">{words[0]} [{words[1]}, {words[2]}]</text>")

    @needs_program
    def test_curves_are_the_means_of_the_logs(self):
        data = json.loads(self.parsed["runs"].blocks["data-val-0"])
        label, _, x, y = data["series"][0][:4]
        x = x or data["at"]
        self.assertEqual(label, "standard")
        for at, value in zip(x, y):
            losses = [
                r["val/loss"]
                for seed in (1, 2, 3)
                for line in (self.runs / f"standard-{seed}/metrics.jsonl").read_text().splitlines()
                if (r := json.loads(line)).get("val/loss") and abs(r["tokens"] / 1e6 - at) < 1e-6
            ]
            self.assertEqual(len(losses), 3)
            self.assertAlmostEqual(value, sum(losses) / 3, places=6)

    def test_forests_of_sizes_share_an_axis(self):
        pictures = re.findall(r'aria-label="Forest.*?</svg>', self.pages["sweep"], re.S)
        ticks = [re.findall(r'class="tick" x="([\d.]+)"', p) for p in pictures]
        self.assertEqual(len(ticks), 4)  # two sizes at two widths
        self.assertEqual(ticks[0], ticks[2])
        self.assertEqual(ticks[1], ticks[3])

    def test_differences_are_paired_by_seed(self):
        data = json.loads(self.parsed["runs"].blocks["data-difference-0"])
        last = {s[0]: (s[3][-1], s[4][-1], s[5][-1]) for s in data["series"]}
        value = {}
        for path in self.runs.iterdir():
            lines = (path / "metrics.jsonl").read_text().splitlines()
            value[path.name] = json.loads(lines[-1])["val/loss"]
        d = [value[f"mhc-{s}"] - value[f"standard-{s}"] for s in (1, 2, 3)]
        half = 4.302652729911275 * np.std(d, ddof=1) / math.sqrt(3)
        np.testing.assert_allclose(
            last["mhc"], (np.mean(d), np.mean(d) - half, np.mean(d) + half), atol=1e-6
        )

    def test_the_rate_that_was_chosen_is_said(self):
        chosen = [
            r for r in self.rows("sweep", "figures/learning_rate.csv") if r["chosen"] == "True"
        ]
        self.assertEqual({r["train.lr"] for r in chosen}, {"0.001"})
        self.says(self.pages["sweep"], "Chosen: standard 0.001")
        rows = self.rows("sweep", "figures/learning_rate.csv")
        means = {r["train.lr"]: float(r["mean"]) for r in rows
                 if r["variant"] == "standard" and r["group"] == "layers=2"}  # fmt: skip
        self.assertLess(means["0.001"], min(means["0.0005"], means["0.002"]))

    def test_timing_has_every_finished_run(self):
        self.assertEqual(len(self.rows("runs", "timing.csv")), 9)
        self.assertEqual(len(self.rows("sweep", "timing.csv")), 16)

    @needs_program
    def test_the_answer_names_verdicts(self):
        answer = re.search(r'class="answer">(.*?)</p>', self.pages["runs"])[1]
        row = next(r for r in self.rows("runs", "results.csv") if r["label"] == "attnres")
        self.assertEqual(row["verdict"], "better")
        self.says(answer, f"attnres ({markup.number(float(row['difference']), 4, True)} nats")
        self.says(answer, "better than standard")

    def test_two_sizes_are_answered_one_by_one(self):
        answer = re.search(r'class="answer">(.*?)</p>', self.pages["sweep"])[1]
        self.assertRegex(
            answer, r"^With 1 to 3 seeds, at layers=2: .* better than standard\. At layers=4: "
        )

    def test_failed_runs_with_their_last_lines(self):
        page = self.pages["sweep"]
        self.says(page, "diverged by step 200")
        self.says(page, "step 190\n")
        self.says(page, "16 of 18 runs done · 1 diverged · 1 not finished")


class Reproduce(Made):
    def test_commands_commit_and_data(self):
        text = (self.out["runs"] / "REPRODUCE.md").read_text()
        self.says(text, "    git checkout 9a0b0c9" + "0" * 33 + "\n")
        self.says(text, "    plumb train --out runs/mhc-2\n")
        self.says(text, "    plumb data prepare austen --out data/austen\n")
        self.says(text, f"    plumb report {self.runs} -o {self.out['runs']}\n")
        self.says(text, "data fingerprint: " + "f00d" * 16)

    def test_changes_that_were_not_committed_are_said(self):
        text = (self.out["runs"] / "REPRODUCE.md").read_text()
        self.says(text, "**The working tree had changes that are not committed**")
        self.says(self.pages["runs"], "working tree had changes")
        self.silent(self.pages["sweep"], "working tree had changes")

    def test_a_sweep_brings_its_own_files(self):
        copies = {p.name for p in (self.out["sweep"] / "sweep").iterdir()}
        self.assertEqual(copies, {"sweep.toml", "base.toml", "plan.jsonl"})
        text = (self.out["sweep"] / "REPRODUCE.md").read_text()
        file = self.out["sweep"] / "sweep/sweep.toml"
        self.says(text, f"    plumb sweep run {file} -j 2 --out runs/sweep-again\n")


if __name__ == "__main__":
    unittest.main()
