"""One page of cards over several reports: what each asked, found and warns of, with its forest."""

import json
import math
import os
from pathlib import Path

from ..reading.files import InputError, read_json
from .answer import counts, forest_rows, sentence
from .build import document
from .intervals import Row, forest
from .markup import esc, number

CARD = "card.json"  # beside index.html: what the gallery shows of it


def card(m):
    """What a gallery needs of a report; numbers that are absent are null."""
    c, family = m.comparison, m.main
    rows = [
        {
            "label": r.label,
            "css": r.css,
            "mean": r.mean,
            "low": r.low if math.isfinite(r.low) else None,
            "high": r.high if math.isfinite(r.high) else None,
            "seeds": [[str(seed), v] for seed, v in r.seeds],
        }
        for r in forest_rows(m, family)
    ]
    return {
        "schema": 1,
        "title": m.title,
        "question": m.runs.sweep.hypothesis if m.runs.sweep else "",
        "headline": sentence(m),
        "counts": counts(m),
        "warnings": list(c.warnings),
        "at": family.title,
        "axis": f"minus {m.names[family.base.label]}, {c.unit}" if family.base else "",
        "margin": c.margin or 0,
        "rows": rows,
    }


def write_card(m, out):
    path = out / CARD
    path.write_text(json.dumps(card(m), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return path


def as_rows(found, path):
    """[Row] of a card; InputError when it is damaged."""
    try:
        return [
            Row(
                str(r["label"]),
                str(r["css"]),
                float(r["mean"]),
                math.nan if r["low"] is None else float(r["low"]),
                math.nan if r["high"] is None else float(r["high"]),
                [(str(seed), float(v)) for seed, v in r["seeds"]],
            )
            for r in found.get("rows", [])
        ]
    except (KeyError, TypeError, ValueError) as e:
        raise InputError(f"{path} is damaged ({e}); write the report again: plumb report") from e


def article(folder, out):
    """A card as HTML, its heading linked to the report."""
    path = Path(folder) / CARD
    if not path.exists():
        raise InputError(f"{folder} holds no report; make one with: plumb report RUNS -o {folder}")
    found = read_json(path)
    rows = as_rows(found, path)
    link = esc(Path(os.path.relpath(folder, out), "index.html").as_posix())
    text = {k: esc(found.get(k, "")) for k in ("title", "question", "headline", "counts", "at")}
    o = [f'<article><h2><a href="{link}">{text["title"]}</a></h2>']
    if text["question"] and text["question"] != text["title"]:
        o.append(f"<p>{text['question']}</p>")
    o.append(f'<p class="note">{text["counts"]}</p><p class="answer">{text["headline"]}</p>')
    if rows:
        told = "; ".join(f"{r.label} {number(r.mean, 4, True)}" for r in rows)
        label = f"{found.get('axis', '')}{', ' + found['at'] if found.get('at') else ''}"
        margin = found.get("margin", 0)
        margin = margin if isinstance(margin, (int, float)) else 0
        o.append(forest(rows, label, margin, f"Forest plot: {told}", narrow=True))
    warnings = found.get("warnings", [])
    if isinstance(warnings, list) and warnings:
        words = "".join(f"<li>{esc(w)}</li>" for w in warnings)
        o.append(
            f"<details><summary>{len(warnings)} to beware of</summary><ul>{words}</ul></details>"
        )
    return "".join(o) + "</article>"


def write(folders, out, title, say):
    """Writes OUT/index.html over the reports in `folders`."""
    cards = []
    for i, folder in enumerate(folders, 1):
        say(f"reading {folder} ({i} of {len(folders)})")
        cards.append(article(folder, out))
    n = len(cards)
    body = (
        f'<header><p class="kicker">plumb report · {n} report{"s" if n != 1 else ""}</p>'
        f"<h1>{esc(title)}</h1></header><main>"
        f'<div class="cards">{"".join(cards)}</div></main>'
    )
    path = out / "index.html"
    path.write_text(document(title, body, script=False), encoding="utf-8")
    return path
