"""plumb report on folders with little, much or damaged in them; its limits and its errors."""

import contextlib
import csv
import io
import json
import re
import shutil
import sys
import tempfile
import unittest
import unittest.mock
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "scripts")]

import report_runs  # noqa: E402
import synthetic  # noqa: E402
from plumb.report import cli, markup, material, records  # noqa: E402
from plumb.report.material import MOST_LINES  # noqa: E402
from report_pages import Made, PageTest, Parsed  # noqa: E402


class Few(PageTest):
    """Folders with little in them."""

    def setUp(self):
        self.dir = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir)

    def report(self, *options):
        code = report_runs.write_report(
            self.dir / "runs", self.dir / "out", "--no-figures", *options
        )
        self.assertEqual(code, 0)
        text = (self.dir / "out/index.html").read_text()
        self.assertEqual(Parsed(text).faults, [])
        return text

    def test_one_run(self):
        synthetic.make_run(self.dir / "runs/a", "attnres", 1, n=4, steps=100, schema=2)
        text = self.report()
        self.says(text, "nothing is compared")
        self.says(text, '<section id="curves"')

    def test_seeds_of_one_variant(self):
        """The noise of seeds: the values, their spread, the size that has some."""
        folder = self.dir / "runs"
        folder.mkdir()
        rates, seeds = (1e-3,), (1, 2, 3, 4)
        sweep = report_runs.sweep_of_sizes(folder, {"standard": "standard"}, (2, 4), rates, seeds)
        for line in sweep.plan:
            if line["stage"] == "main" and line["point"]["model.layers"] == 4:
                shutil.rmtree(folder / line["dir"])
        text = self.report()
        values = [
            json.loads((folder / line["dir"] / "summary.json").read_text())["final_val_loss"]
            for line in sweep.plan
            if line["stage"] == "main" and line["point"]["model.layers"] == 2
        ]
        sd = f"standard deviation {np.std(values, ddof=1):.2g} (4 seeds)"
        self.says(text, sd)
        self.says(text, "At layers=2:")
        self.says(text, "4 runs have not started.")
        mean = markup.number(float(np.mean(values)))
        self.assertEqual(len(re.findall(rf'class="num"[^>]*>{mean} \[', text)), 2)  # two widths

    def test_the_first_sentence_of_the_question_is_the_heading(self):
        folder = self.dir / "runs"
        folder.mkdir()
        report_runs.sweep_of_sizes(folder, {"standard": "standard"}, (2,), (1e-3,), (1,))
        said = json.loads((folder / "sweep.json").read_text())
        said["hypothesis"] = "Is `it` so? No: 3 < 4."
        (folder / "sweep.json").write_text(json.dumps(said))
        text = self.report()
        self.says(text, "<h1>Is <code>it</code> so?</h1>")
        self.says(text, '<p class="lead">No: 3 &lt; 4.</p>')

    def test_orphans_are_not_counted_as_unfinished(self):
        folder = self.dir / "runs"
        folder.mkdir()
        sweep = report_runs.sweep_of_sizes(folder, {"standard": "standard"}, (2, 4), (1e-3,), (1,))
        gone = [x["id"] for x in sweep.plan if x["point"]["model.layers"] == 4]
        sweep.says["current"] = [x for x in sweep.says["current"] if x not in gone]
        sweep.write()
        text = self.report()
        self.says(text, "1 of 1 runs done · 1 of other settings (orphans) left alone")
        self.silent(text, "not finished")

    def test_own_text_is_said_in_words_in_reproduce(self):
        notes = self.dir / "my notes"
        notes.mkdir()
        meta = {"name": "x", "tokenizer": "char", "train_tokens": 90, "sha256": {"text": "beef"}}
        (notes / "meta.json").write_text(json.dumps(meta))
        made = {"essays": notes, "a b": "gone/x", "kjv": "data/kjv", "token files": "data/gpt",
                "austen": "data/pairs"}
        for seed, (name, path) in enumerate(made.items(), 1):
            path = Path(path)
            run = self.dir / "runs" / path.name
            settings = {"data.path": json.dumps(str(path))}
            synthetic.make_run(run, "mhc", seed, n=4, steps=100, settings=settings)
            kind = "bpe" if name == "austen" else "byte"
            text = f"{path} ({name}), 9,000 train + 1,000 val, {kind} tokens, vocabulary 256"
            manifest = {"data": {"description": text, "fingerprint": "f00d"}}
            (run / "manifest.json").write_text(json.dumps(manifest))
        self.report()
        text = (self.dir / "out/REPRODUCE.md").read_text()
        own = f"plumb data prepare FILE... --tokenizer char --out '{notes}'"
        self.says(text, f"    # first, with your own text for FILE: {own}\n")
        self.says(text, "FILE: plumb data prepare FILE... --tokenizer byte --out gone/x\n")
        self.says(text, "    plumb data prepare kjv --out data/kjv\n")
        kept = f"gpt2:{self.dir}/runs/pairs/data"  # the vocabulary that the run keeps
        self.says(text, f"    plumb data prepare austen --tokenizer {kept} --out data/pairs\n")
        self.says(text, "    # first put the token files of data/gpt there again\n")
        self.says(text, "(essays), 9,000 train + 1,000 val, byte tokens, vocabulary 256. It was")
        self.says(text, "it must print data.sha256: beef.")
        self.says(text, "the data fingerprint in manifest.json of a new run is the one below.")

    def test_runs_without_probes(self):
        for mixer in ("standard", "mhc"):
            synthetic.make_run(self.dir / f"runs/{mixer}", mixer, 1, n=0, steps=100, probe_every=0)
            shutil.rmtree(self.dir / f"runs/{mixer}/matrix")
        text = self.report()
        self.says(
            text, "Along depth: no finished run has a probe; train with record.probe_every=100."
        )
        self.silent(text, 'id="data-viewer"')

    def test_all_diverged(self):
        for seed in (1, 2):
            synthetic.make_run(self.dir / f"runs/{seed}", "standard", seed, n=4, status="diverged")
        text = self.report()
        self.says(text, "No run has finished yet.")
        self.says(text, "0 of 2 runs done · 2 diverged")

    def test_a_damaged_log_is_left_out_and_named(self):
        for mixer in ("standard", "mhc"):
            for seed in (1, 2, 3):
                synthetic.make_run(self.dir / f"runs/{mixer}-{seed}", mixer, seed, n=4, steps=100)
        path = self.dir / "runs/mhc-2/depth.jsonl"
        path.write_text(path.read_text().replace("{", '{"step": ,', 1))
        text = self.report()
        self.says(text, "depth.jsonl line 1 is not a record")
        self.says(text, "mhc has too few pairs to say")

    def test_a_seed_with_other_probes_is_left_out_and_named(self):
        for seed in (1, 2, 3):
            options = {"n": 4 if seed < 3 else 2, "settings": {"model.layers": 2}}
            synthetic.make_run(self.dir / f"runs/{seed}", "mhc", seed, **options)
        text = self.report()
        self.says(text, "depth.jsonl has 2 sublayers, other seeds have 4")
        self.says(text, "2 of 3 runs done")

    def test_a_probe_of_no_sublayer_is_no_chart(self):
        synthetic.make_run(self.dir / "runs/a", "mhc", 1, n=0, steps=100)
        self.silent(self.report(), "weight gradients spread")

    def test_long_logs_are_thinned_and_the_caption_says_so(self):
        path = self.dir / "runs/a"
        synthetic.make_run(path, "standard", 1, n=4, steps=9000, probe_every=9000)
        self.says(self.report(), " points 400 are drawn")

    def test_many_variants_are_not_all_drawn(self):
        synthetic.make_run(self.dir / "runs/base", "standard", 1, n=4, steps=100)
        for i in range(MOST_LINES + 3):
            options = {"settings": {"mixer.block_size": i + 1}, "drift": 0.001 * i}
            synthetic.make_run(
                self.dir / f"runs/{i}", "attnres_block", 1, n=4, steps=100, **options
            )
        text = self.report()
        self.says(text, "Of 20 variants charts show 16: the baseline and those that differ most")
        names = {s[0] for s in json.loads(Parsed(text).blocks["data-val-0"])["series"]}
        losses = {}
        with (self.dir / "out/results.csv").open(newline="") as f:
            losses = {r["label"]: abs(float(r["difference"] or "inf")) for r in csv.DictReader(f)}
        self.assertEqual(len(losses), 20)
        self.assertEqual(names, set(sorted(losses, key=losses.get)[-MOST_LINES:]))


class Limits(Made):
    """What keeps a page small says so."""

    def page(self, name, module, limit, value):
        out = self.dir / f"limited-{limit}"
        folder = self.runs if name == "runs" else self.sweep
        with unittest.mock.patch.object(module, limit, value):
            self.assertEqual(report_runs.write_report(folder, out, "--no-figures"), 0)
        return (out / "index.html").read_text()

    def test_further_sizes_are_left_out(self):
        text = self.page("sweep", material, "FOLDED", 1000)
        self.says(text, "Left out, to keep this page small: layers=2.")
        self.silent(text, "The same at layers=2")
        self.says(self.pages["sweep"], "The same at layers=2")

    def test_failed_runs_are_cut(self):
        text = self.page("sweep", records, "MOST_FAILURES", 1)
        self.says(text, "1 of 2; plumb compare --json names all.")
        table = re.search(r'id="failures-table".*?</table>', text, re.S)[0]
        self.assertEqual(table.count("<tr>"), 2)  # with the heading

    def test_commands_are_cut(self):
        text = self.page("runs", records, "MOST_LINES", 4)
        self.says(text, "lines, all in REPRODUCE.md ...")
        self.silent(text, "plumb train --out runs/mhc-1\n")


class Commands(Made):
    def fails(self, code, *words):
        """Standard error of a call that exits with `code`."""
        said = io.StringIO()
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            self.assertEqual(cli.main([*map(str, words), "-q"]), code)
        return said.getvalue()

    def test_errors_say_what_to_do(self):
        out = self.dir / "nowhere"
        self.assertIn("no run folder", self.fails(4, self.dir / "absent", "-o", out))
        self.assertIn("--margin", self.fails(2, self.runs, "-o", out, "--margin", "-1"))
        self.assertIn("is no variant here", self.fails(2, self.runs, "-o", out, "--baseline", "x"))
        self.assertFalse(out.exists())
        (self.dir / "file").write_text("")
        self.assertIn(
            "choose another folder with -o", self.fails(4, self.runs, "-o", self.dir / "file")
        )

    def test_a_gallery_has_a_card_for_each_report(self):
        out = self.dir / "gallery"
        reports = [str(p) for p in self.out.values()]
        self.fails(0, "--gallery", *reports, "-o", out)
        parsed = Parsed((out / "index.html").read_text())
        self.assertEqual(parsed.faults, [])
        links = [a["href"] for a in parsed.all("a")]
        self.assertEqual(links, ["../report-runs/index.html", "../report-sweep/index.html"])
        self.assertTrue(all((out / link).exists() for link in links))
        self.assertEqual(len(parsed.all("article")), 2)
        self.assertEqual(len([a for a in parsed.all("svg") if a.get("role") == "img"]), 2)

    def test_a_gallery_of_what_is_no_report(self):
        out = self.dir / "gallery-bad"
        self.assertIn("holds no report", self.fails(4, "--gallery", self.runs, "-o", out))
        bad = self.dir / "bad-report"
        bad.mkdir()
        (bad / "card.json").write_text('{"rows": [{"label": "a"}]}')
        self.assertIn("is damaged", self.fails(4, "--gallery", bad, "-o", out))


if __name__ == "__main__":
    unittest.main()
