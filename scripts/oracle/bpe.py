#!/usr/bin/env python3
"""Writes tests/fixtures/bpe.json: what the tokenizers library makes of a text, for tests of
src/data/bpe*. `--check` compares with the committed file instead.

    python3 -m venv .venv && .venv/bin/pip install tokenizers
    .venv/bin/python scripts/oracle/bpe.py
"""

import json
import random
import sys
import unicodedata
from pathlib import Path

try:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
except ImportError:
    sys.exit("bpe.py needs the tokenizers library: pip install tokenizers")

OUT = Path(__file__).resolve().parents[2] / "tests" / "fixtures" / "bpe.json"
VOCAB = 640
WORDS = """the of and to a in that it was he for his with as not at be is had on you but by they from
she which we one all her would there their him been has when who will more no if out so said what up
its about into than them can only other new some could time these two may then do first any my now
such like our over man me even most made after also did many before must through it's I'm they're
we've she'll he'd don't 'tis John's banana bananas aaaa aaaaaaa mmmm ------ ==== ... 1813 007 42
3.14159 x_1 foo(bar) naïve café Ærø größer Ελληνικά γλώσσα время людей если 東京 東京都 日本語 日本 한국어
हिन्दी العربية ไทย 𝔘𝔫𝔦 ½ ² Ⅷ ٣٤ 😀 😀😀 👩‍💻 é""".split()
GAPS = [" "] * 40 + ["  ", "   ", "\n", "\n\n", " \n", "\t", "\r\n", "\u00a0", "\u3000", ""]


def sample_text(rng, n_words):
    """Words, frequent ones first as in a language, and what stands between them."""
    text = ""
    for _ in range(n_words):
        word = WORDS[min(int(rng.paretovariate(0.6)) - 1, len(WORDS) - 1)
                     if rng.random() < 0.8 else rng.randrange(len(WORDS))]
        text += word + rng.choice(GAPS)
    return text


def edge_text(rng):
    """First and last of every run of letters, numbers and white space, and their neighbours."""
    kind = [unicodedata.category(chr(c))[0] for c in range(0x30000)]
    edges = {c + d for c in range(1, len(kind)) if kind[c] != kind[c - 1] and
             {"L", "N", "Z"} & {kind[c], kind[c - 1]} for d in (-1, 0)}
    known = [chr(c) for c in sorted(edges | set(range(0x2000, 0x2070)) | set(range(0x100)))
             if unicodedata.category(chr(c)) not in ("Cn", "Cs")]
    chosen = rng.sample(known, 900)
    return "".join(f"a{c}1{c}!{c} {c}" if rng.random() < 0.5 else f"{c}{c} a" for c in chosen)


def words_of(text):
    """The pieces of the text that ByteLevel's expression makes."""
    cut = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    return [text[begin:end] for _, (begin, end) in cut.pre_tokenize_str(text)]


def record():
    rng = random.Random(2019)
    text = sample_text(rng, 4000)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.train_from_iterator([text], trainers.BpeTrainer(
        vocab_size=VOCAB, min_frequency=2, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    model = json.loads(tokenizer.to_str())["model"]
    merges = [m if isinstance(m, str) else " ".join(m) for m in model["merges"]]
    edges = edge_text(rng)
    others = [sample_text(rng, 300), edges[:2000], "", " ", "aaaaaaaaaaaaaa", "a" * 999 + " b"]
    return {
        "text": text,
        "vocab": model["vocab"],
        "merges": merges,
        "encoded": [{"text": t, "ids": tokenizer.encode(t).ids} for t in others],
        "cut": [words_of(t) for t in (edges, sample_text(rng, 200))],
    }


def main():
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit("usage: bpe.py [--check]")
    text = json.dumps(record(), ensure_ascii=False, separators=(",", ":")) + "\n"
    if not sys.argv[1:]:
        OUT.write_text(text)
        print(f"wrote {OUT.name}, {OUT.stat().st_size} bytes")
    elif OUT.read_text() != text:
        sys.exit(f"{OUT}: other content; run bpe.py to rewrite it")


if __name__ == "__main__":
    main()
