"""Streams: what a rule asks of them (memories/stream_dots.h), and where it lies."""

import numpy as np

from .arguments import doubles, struct
from .case import I32, I64, U16, normal, stored

MOST_STREAMS, MOST_VECTORS = 8, 80


def padded(numbers, room, dtype, rest):
    return [*map(dtype, numbers), *[dtype(rest)] * (room - len(numbers))]


def in_parts(x, dtype):
    """As numbers of the type and, in bf16, what rounding took from them: (1 or 2, ...)."""
    high = stored(x, dtype)
    return np.stack([high, stored(x - doubles(high), dtype)] if dtype == U16 else [high])


def fragments(w, channels, tiles):
    """W (parts, vectors, rows, channels) as stream_write_dots.cuh has it."""
    parts, m, rows, _ = w.shape
    blocks = -(-channels // 32)
    whole = np.zeros((parts, 8 * tiles, rows, 32 * blocks), w.dtype)
    whole[:, :m, :, :channels] = w
    split = whole.reshape(parts, tiles, 8, rows, blocks, 4, 8)
    return np.ascontiguousarray(split.transpose(3, 4, 0, 1, 2, 5, 6))


class Dots:
    """A rule's vectors w (m, width) in the flat array, and its numbers u: that of <1, w_0>, then
    projections, squares, sums of streams, but no sum of stream 1.
    """

    def __init__(self, streams, m, channels, ends):
        """ends: of a token's streams end to end, as one row."""
        self.streams, self.m, self.channels, self.ends = streams, m, channels, ends
        self.rows = 1 if ends else streams
        self.width = streams * channels if ends else channels
        room = -(-self.width // 8) * 8 + 16
        self.at = [8 + room * (m - 1 - i) for i in range(m)]
        self.flat = normal(30, room * m + 8).astype(np.float32)
        self.w = np.stack([self.flat[at : at + self.width] for at in self.at])
        self.projections = 4
        first = self.projections + self.rows * m
        self.squares = [first + (0 if ends else k) for k in range(streams)]
        self.sums = [] if ends else [first + streams + k if k != 1 else -1 for k in range(streams)]
        self.numbers = first + 2 * self.rows
        self.argument = struct(
            *map(I32, (streams, m, self.width)), np.bool_(ends),
            padded(self.squares, MOST_STREAMS, I32, -1), padded(self.sums, MOST_STREAMS, I32, -1),
            padded([self.projections + (0 if ends else k * m) for k in range(streams)], MOST_STREAMS, I32, 0),
            padded([1], MOST_VECTORS, I32, -1), padded(self.at, MOST_VECTORS, I64, 0))  # fmt: skip

    def by_rows(self, du):
        """Gradients of projections: (rows, m, N)."""
        end = self.projections + self.rows * self.m
        return du[self.projections : end].reshape(self.rows, self.m, -1)

    def placed(self, products, squares, sums, total):
        """u (numbers, N) of projections (rows, m, N), squares (rows, N), sums (rows, N); NaN where
        nothing is.
        """
        u = np.full((self.numbers, products.shape[2]), np.nan)
        u[1] = total
        self.by_rows(u)[:] = products
        for k in range(self.rows):
            u[self.squares[k]] = squares[k]
            if self.sums and self.sums[k] >= 0:
                u[self.sums[k]] = sums[k]
        return u

    def backward(self, du, x):
        """dX (N, K, C) of du, by what is asked of X."""
        w = self.w.astype(np.float64).reshape(self.m, -1, self.channels)  # (m, K or 1, C)
        by = np.broadcast_to(self.by_rows(du), (self.streams, self.m, len(x)))
        dx = np.einsum("kmn,mkc->nkc", by, np.broadcast_to(w, (self.m, self.streams, self.channels)))
        dx = dx + 2 * du[self.squares].T[:, :, None] * x
        for k, at in enumerate(self.sums):
            if at >= 0:
                dx[:, k] += du[at][:, None]
        return dx
