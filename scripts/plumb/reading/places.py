"""Which sublayer is where along depth: 0 is the embedding, 1..L are the sublayers, L+1 is the
output. All that this package knows of it stands here.
"""

from dataclasses import dataclass

import numpy as np

from . import program

KINDS = ("attn", "mlp")  # of the default block, in order


def word(kind):
    """What the program calls it: attention; without a program, the kind."""
    return program.sublayer_titles().get(kind, kind)


@dataclass(frozen=True)
class Layout:
    """pattern: kinds of the sublayers of a transformer block, in order."""

    n_sublayers: int
    pattern: tuple = KINDS

    @property
    def kinds(self):
        """Each once."""
        return tuple(dict.fromkeys(self.pattern))

    @property
    def size(self):
        """Sublayers of a block."""
        return len(self.pattern)

    @property
    def n_blocks(self):
        return -(-self.n_sublayers // self.size)

    def block(self, depth):
        """The number of its transformer block: 1, 2, .."""
        return -(-depth // self.size)

    def _among(self, depth):
        """(how many of its kind stand before it in its block, how many of them a block has)"""
        i = (depth - 1) % self.size
        kind = self.pattern[i]
        return self.pattern[:i].count(kind), self.pattern.count(kind)

    def depths_of(self, kind):
        """Its sublayers."""
        every = range(1, self.n_sublayers + 1)
        return np.array([d for d in every if self.pattern[(d - 1) % self.size] == kind], dtype=int)

    def position(self, depth):
        """On an axis of transformer blocks: the block, and between two several of a kind."""
        before, of_all = self._among(depth)
        return self.block(depth) + before / of_all if before else self.block(depth)

    def site(self, depth):
        """Its name in a run: layer.1.attn for 3, layer.1.mlp for 4; embed, output."""
        if depth == 0:
            return "embed"
        if depth > self.n_sublayers:
            return "output"
        before, _ = self._among(depth)
        kind = self.pattern[(depth - 1) % self.size]
        return f"layer.{self.block(depth) - 1}.{kind}{before + 1 if before else ''}"

    def words(self, depth):
        """`attention 2` for 3; `attention 2.1`, `attention 2.2` of two in a block."""
        if depth == 0:
            return "embedding"
        if depth > self.n_sublayers:
            return "output"
        before, of_all = self._among(depth)
        more = f".{before + 1}" if of_all > 1 else ""
        return f"{word(self.pattern[(depth - 1) % self.size])} {self.block(depth)}{more}"

    @property
    def order(self):
        """To read an axis of sublayers by."""
        words = [word(kind) for kind in self.pattern]
        if len(words) == 2:
            return f"odd: {words[0]}, even: {words[1]}"
        return f"a block: {', '.join(words)}"


def of(run, n_sublayers=None):
    """Of a run: of the sublayers that its probes saw, or of so many."""
    n = run.n_sublayers if n_sublayers is None else n_sublayers
    pattern = run.config.get("model.pattern")
    if isinstance(pattern, list) and pattern and all(isinstance(k, str) for k in pattern):
        return Layout(n, tuple(pattern))
    return Layout(n)


def kinds_of(layouts):
    """Kinds of any of them, those of the default block before others."""
    seen = dict.fromkeys(kind for layout in layouts for kind in layout.kinds)
    return sorted(seen, key=lambda kind: [*KINDS, kind].index(kind))


def order_of(layouts):
    """Each order of sublayers once."""
    return "; ".join(dict.fromkeys(layout.order for layout in layouts))


def deepest(layouts):
    """For an axis that all are drawn on; blocks are its own, or sublayers where they differ."""
    layouts = list(layouts)
    most = max(layout.n_sublayers for layout in layouts)
    alike = len({layout.size for layout in layouts}) == 1
    return Layout(most, layouts[0].pattern if alike else ("sublayer",))
