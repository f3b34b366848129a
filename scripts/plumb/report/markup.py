"""Text and tables as HTML. Whatever a run's files hold goes through `esc`: no run writes markup."""

import json
import re
from html import escape


def visible(text):
    """Control characters and marks of writing direction as escapes; spaces stay."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(text)
    )


def esc(text):
    """One line of text, safe between tags and in a quoted attribute."""
    return escape(visible(text), quote=True)


def esc_lines(text):
    """The same of several lines, for <pre>."""
    return "\n".join(esc(line) for line in str(text).split("\n"))


def data_block(name, value):
    """JSON that a script of the page reads by its id. No `<` is left in it, so it ends where it
    should whatever it says.
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return f'<script type="application/json" id="{esc(name)}">{text}</script>'


def number(x, digits=4, sign=False):
    """With a true minus; `–` for NaN."""
    if x is None or x != x:
        return "–"
    return f"{x:{'+' if sign else ''}.{digits}f}".replace("-", "\N{MINUS SIGN}")


def sorting(value):
    """Attribute that a column is sorted by; without one, by its text. NaN comes last."""
    return f' data-v="{value:.10g}"' if value is not None and value == value else ' data-v="nan"'


def cell(text, value=None, numeric=False, kind=""):
    """<td>; numeric: sorted by `value`. `text` is HTML."""
    css = f' class="{kind}"' if kind else ""
    return f"<td{css}{sorting(value) if numeric else ''}>{text}</td>"


def table(name, caption, head, rows, keys=(), numeric=()):
    """A table in a box that scrolls by itself, its caption above it. head: texts; rows: lists of
    HTML, the first of a row already `<th scope="row">`, the others `cell`s. keys: class of each
    row. numeric: columns whose heading stands at the right.
    """
    name = esc(name)
    titles = "".join(
        f'<th scope="col" aria-sort="none"{" class=num" if i in numeric else ""}>'
        f'<button type="button">{esc(h)}</button></th>'
        for i, h in enumerate(head)
    )
    body = "".join(
        f"<tr{f' class={keys[i]} data-s={keys[i]}' if keys else ''}>{''.join(row)}</tr>"
        for i, row in enumerate(rows)
    )
    above = f'<p class="caption lead" id="{name}-caption">{caption}</p>' if caption else ""
    label = f'aria-labelledby="{name}-caption"' if caption else f'aria-label="{name}"'
    return (
        f'{above}<div class="scroll" tabindex="0" role="region" {label}>'
        f'<table class="sortable" id="{name}" {label}>'
        f"<thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table></div>"
    )


LONGEST = 16  # letters that a name in a table keeps together


def breakable(text):
    """esc() of a name, which may go on in the next line after a mark, and within a long word."""
    parts = re.findall(rf"\w{{1,{LONGEST}}}[^\w\s]?|\W", visible(text))
    return "<wbr>".join(map(esc, parts)).replace("<wbr> <wbr>", " ")


def row_head(text, swatch=""):
    """First cell of a row: a name."""
    return f'<th scope="row">{swatch}{breakable(text)}</th>'


def unit(title, body, caption):
    """A chart or a table with its heading and its caption, which no page of paper tears apart. body
    and caption are HTML.
    """
    heading = f"<h3>{esc(title)}</h3>" if title else ""
    below = f'<p class="caption">{caption}</p>' if caption else ""
    return f'<div class="unit">{heading}{body}{below}</div>'


def prose(text):
    """esc() of a sentence: no line ends before a %."""
    return esc(text).replace(" %", "&nbsp;%")


def question(text):
    """prose() of a hypothesis: what stands between backticks there is code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", prose(text))


def details(summary, body, printed=False):
    """Folded away until it is asked for; printed: open on paper."""
    css = ' class="printed"' if printed else ""
    return f"<details{css}><summary>{esc(summary)}</summary>{body}</details>"


def capital(text):
    """A sentence: a capital first, a full stop last."""
    if text.split(" ", 1)[0].rstrip(":,").isalpha():  # not the name of a setting
        text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else text + "."
