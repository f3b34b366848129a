"""Reports for the tests of `plumb report`, made once, and their HTML taken apart."""

import atexit
import csv
import functools
import html.parser
import tempfile
import unittest
from pathlib import Path

import report_runs

VOID = {"meta", "link", "input", "br", "img", "wbr"}


class Parsed(html.parser.HTMLParser):
    """Elements, texts, and what a browser would have to repair."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.faults, self.elements, self.text = [], [], [], []
        self.blocks, self.styles = {}, []
        self.feed(text)
        self.close()
        self.faults += [f"<{tag}> stays open" for tag in self.open]

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.elements.append((tag, attributes))
        if tag not in VOID:
            self.open.append(tag)
        self.here = (tag, attributes)

    def handle_startendtag(self, tag, attributes):  # of SVG
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if not self.open or self.open[-1] != tag:
            self.faults.append(f"</{tag}> where {self.open[-1:]} is open")
        else:
            self.open.pop()

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.blocks[self.here[1].get("id", "")] = data
        elif self.open and self.open[-1] == "style":
            self.styles.append(data)
        else:
            self.text.append(data)

    def ids(self):
        return [a["id"] for _, a in self.elements if "id" in a]

    def all(self, tag):
        return [a for t, a in self.elements if t == tag]


class PageTest(unittest.TestCase):
    def says(self, page, words):
        """assertIn without printing the page."""
        self.assertTrue(words in page, f"the page does not say: {words}")

    def silent(self, page, words):
        self.assertFalse(words in page, f"the page says: {words}")


@functools.cache
def made():
    """(scratch folder, {name: (runs, report, exit code, HTML, Parsed)}) of two reports."""
    scratch = tempfile.TemporaryDirectory()
    atexit.register(scratch.cleanup)
    folder, found = Path(scratch.name), {}
    for name in ("runs", "sweep"):
        (folder / name).mkdir()
    mixers = ("standard", "attnres", "mhc")
    report_runs.seven_mixers(folder / "runs", (1, 2, 3), mixers, n=12, steps=400)
    report_runs.hostile_sweep(folder / "sweep")
    for name in ("runs", "sweep"):
        out = folder / f"report-{name}"
        code = report_runs.write_report(folder / name, out, "--no-figures")
        text = (out / "index.html").read_text()
        found[name] = folder / name, out, code, text, Parsed(text)
    return folder, found


class Made(PageTest):
    """Looks at the two reports."""

    @classmethod
    def setUpClass(cls):
        cls.dir, found = made()
        cls.runs, cls.sweep = (found[k][0] for k in ("runs", "sweep"))
        cls.out = {k: v[1] for k, v in found.items()}
        cls.code = [v[2] for v in found.values()]
        cls.pages = {k: v[3] for k, v in found.items()}
        cls.parsed = {k: v[4] for k, v in found.items()}

    def rows(self, name, file):
        with (self.out[name] / file).open(newline="") as f:
            return list(csv.DictReader(f))
