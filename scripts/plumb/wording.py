"""How pages and tables say numbers and names."""

import re

from . import stats


def signed(x, digits=4):
    return f"{x:+.{digits}f}".replace("-", "−")


def with_interval(mean, half, digits=4):
    return f"{signed(mean, digits)} [{signed(mean - half, digits)}, {signed(mean + half, digits)}]"


def mean_half(values, digits=3):
    mean, half = stats.interval(list(values))
    return f"{mean:.{digits}f} ±{half:.{digits}f}".replace("-", "−")


def p_text(p):
    return "<0.0001" if p < 1e-4 else f"{p:.2g}"


def listed(numbers):
    """`0, 100, ..., 1000` of more than three."""
    words = [str(n) for n in numbers]
    return ", ".join(words if len(words) < 4 else [*words[:2], "...", words[-1]])


def power_of_ten(x):
    if x == 0:
        return "0"
    digits, exponent = f"{x:.1e}".split("e")
    return f"{digits}e{int(exponent)}"


def count_word(seeds):
    words = {1: "one seed", 2: "two seeds", 3: "three seeds", 4: "four seeds", 5: "five seeds"}
    return words.get(seeds, f"{seeds} seeds")


def in_markdown(text):
    """Text that Markdown and the HTML made of it show as it is, in a cell of a table too."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|~$#!])", r"\\\1", text)
