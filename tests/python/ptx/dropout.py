"""Dropout (ops/dropout.h): masks by Philox4x32-10 of Salmon et al. 2011."""

import numpy as np

from .arguments import struct

LOW = np.uint64(2**32 - 1)


def philox(counter, key):
    """Four words, each of the counter's shape, of four words and two."""
    x, y, z, w = (np.asarray(word, np.uint64) for word in counter)
    k, m = (np.uint64(word) for word in key)
    high = np.uint64(32)
    for _ in range(10):
        a, b = np.uint64(0xD2511F53) * x, np.uint64(0xCD9E8D57) * z
        x, y, z, w = (b >> high) ^ y ^ k, b & LOW, (a >> high) ^ w ^ m, a & LOW
        k, m = (k + np.uint64(0x9E3779B9)) & LOW, (m + np.uint64(0xBB67AE85)) & LOW
    return x, y, z, w


class Dropout:
    def __init__(self, seed=0x123456789ABCDEF, stream=0xFEDCBA987, threshold=20000):
        self.seed, self.stream, self.threshold = seed, stream, threshold
        self.factor = 65536 / (65536 - threshold)
        self.argument = struct(np.uint64(seed), np.uint64(stream), np.uint32(threshold), np.float64(self.factor))

    def factors(self, rows, columns):
        """(rows, columns): 0 or the factor."""
        row, column = np.indices((rows, columns))
        counter = column // 8, row, self.stream & int(LOW), self.stream >> 32
        words = np.broadcast_arrays(*philox(counter, (self.seed & int(LOW), self.seed >> 32)))
        word = np.choose(column % 8 // 2, words)
        return self.factor * ((word >> (16 * (column % 2)).astype(np.uint64) & np.uint64(0xFFFF)) >= self.threshold)
