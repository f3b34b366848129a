"""The page: one HTML file that fetches nothing."""

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path

from ..reading.files import Skip
from . import answer, costs, depth, matrix, records, training
from .charts import swatch
from .markup import esc

HERE = Path(__file__).parent

SECTIONS = (  # id, word in the navigation, heading, maker
    ("answer", "Answer", "Answer", answer.answer),
    ("matched", "Matched", "What was held equal", answer.matched),
    ("curves", "Losses", "Loss during training", training.curves),
    ("to-loss", "To a loss", "Steps and time to a loss", training.to_loss),
    ("rate", "Rate", "Learning rate", training.sensitivity),
    ("depth", "Depth", "Along depth", depth.shares),
    ("gradients", "Gradients", "Gradients by depth", depth.gradients),
    ("matrix", "Matrix", "The depth-mixing matrix", matrix.matrix),
    ("costs", "Costs", "Quality against speed and memory", costs.tradeoff),
    ("size", "Sizes", "Over sizes", costs.scaling),
    ("failures", "Left out", "Runs that are in no mean", records.failures),
    ("settings", "Settings", "Settings", records.settings),
)


@dataclass
class Section:
    name: str
    word: str
    heading: str
    body: str


def make_sections(m, out, say):
    """([Section], [(heading, why it is left out)])."""
    made, missing = [], []
    makers = [*SECTIONS, ("repeat", "Repeat", "Repeat it", lambda m: records.repeat(m, out))]
    for i, (name, word, heading, make) in enumerate(makers, 1):
        say(f"writing the page: {heading} ({i} of {len(makers)})")
        try:
            made.append(Section(name, word, heading, make(m)))
        except Skip as reason:
            missing.append((heading, str(reason)))
    return made, missing


def policy(styles, script):
    """Content-Security-Policy: nothing is loaded, and only this style and this script are run."""

    def digest(text):
        return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")

    return (
        f"default-src 'none'; style-src 'sha256-{digest(styles)}'; "
        f"script-src 'sha256-{digest(script)}'; img-src data:; base-uri 'none'; form-action 'none'"
    )


def document(title, body, script=True):
    """A whole page round `body`."""
    styles = (HERE / "style.css").read_text(encoding="utf-8")
    code = (HERE / "page.js").read_text(encoding="utf-8") if script else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy(styles, code)}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{esc(title)}</title>'
        f"<style>{styles}</style></head>\n<body>{body}"
        + (f"<script>{code}</script>" if script else "")
        + "</body></html>\n"
    )


def navigation(m, sections):
    links = "".join(f'<a href="#{s.name}">{esc(s.word)}</a>' for s in sections)
    keys = "".join(
        f'<button type="button" class="{css}" data-s="{css}" aria-pressed="false">'
        f"{swatch(css)}{esc(name)}</button>"
        for name, css in m.variants().items()
    )
    return (
        f'<nav aria-label="Sections"><div class="links">{links}</div>'
        f'<div class="variants" role="group" aria-label="Highlight a variant">{keys}</div></nav>'
    )


def page(m, out, say):
    """The HTML of the report of m; out: where it goes, as it was typed."""
    sections, missing = make_sections(m, out, say)
    o = [answer.header(m), navigation(m, sections), "<main>"]
    o += [
        f'<section id="{s.name}"><h2>{esc(s.heading)}</h2>\n{s.body}</section>\n' for s in sections
    ]
    if missing:
        lines = "".join(f"<li>{esc(h)}: {esc(why)}.</li>" for h, why in missing)
        o.append(f'<section id="missing"><h2>Not on this page</h2><ul>{lines}</ul></section>')
    o.append(
        "</main><footer><p>Beside this file: results.csv, timing.csv, table.tex, REPRODUCE.md and "
        "figures/ (SVG, PNG and the CSV behind each). This page fetches nothing.</p></footer>"
    )
    return document(f"{m.title} · plumb report", "".join(o))
