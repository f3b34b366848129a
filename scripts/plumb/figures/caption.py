"""What stands under a figure's heading: how many seeds, how many tokens, and what else to know."""

import math


def tokens_text(tokens):
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if tokens >= unit:
            return f"{tokens / unit:.3g} {name} tokens"
    return f"{tokens:.0f} tokens"


def span(values, form):
    low, high = min(values), max(values)
    return form(low) if form(low) == form(high) else f"{form(low)} to {form(high)}"


def of(groups, *more):
    """groups: label -> runs. "n = 5 seeds, 1.02 M tokens; MORE.": ranges where groups differ."""
    counts = [len(runs) for runs in groups.values()]
    words = [f"n = {span(counts, str)} seed{'s' if max(counts) > 1 else ''}"]
    tokens = [r.tokens for runs in groups.values() for r in runs if math.isfinite(r.tokens)]
    if tokens:
        words[0] += f", {span(tokens, tokens_text)}"
    return "; ".join([*words, *more]) + "."
