"""Which sublayer is where along depth: 0 is the embedding, 1..L are the sublayers, L+1 is the
output. All that this package knows of it stands here.
"""

import numpy as np

KINDS = ("attn", "mlp")  # of a transformer block, in order
WORDS = {"attn": "attention", "mlp": "MLP"}


def depths_of(kind, n_depths):
    """The sublayers of a kind among depths 0..L+1."""
    return np.arange(1 + KINDS.index(kind), n_depths - 1, len(KINDS))


def site(depth, n_sublayers):
    """Its name in a run: layer.1.attn for 3, layer.1.mlp for 4; embed, output."""
    if depth == 0:
        return "embed"
    if depth > n_sublayers:
        return "output"
    block, i = divmod(depth - 1, len(KINDS))
    return f"layer.{block}.{KINDS[i]}"


def n_blocks(n_sublayers):
    return -(-n_sublayers // len(KINDS))


ODD_EVEN = f"odd: {WORDS[KINDS[0]]}, even: {WORDS[KINDS[1]]}"  # to read an axis by
