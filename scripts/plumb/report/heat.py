"""Depth-mixing matrices as one byte a cell, as small pictures, and as the viewer's data.

A value v of a matrix whose largest |value| is `top` is stored as 127 + 127 sign(v) sqrt(|v|/top),
so that small shares are told apart: the root is kept to 1/254 of that of `top`.
"""

import base64
import struct
import zlib

import numpy as np

from ..figures import shares

N_COLORS = 255
BUDGET = 600_000  # characters of base64 that all matrices of a page may take


def encode(matrix):
    """(top, bytes of the lower triangle by rows)."""
    cells = matrix[np.tril_indices(len(matrix))]
    cells = np.where(np.isfinite(cells), cells, 0.0)
    top = float(np.abs(cells).max()) or 1.0
    codes = np.rint(127 + 127 * np.sign(cells) * np.sqrt(np.abs(cells) / top))
    return top, codes.astype(np.uint8).tobytes()


def decode(top, data, n):
    """The inverse of encode(), to the precision kept; zero where no source is seen."""
    codes = (np.frombuffer(data, dtype=np.uint8).astype(float) - 127) / 127
    found = np.zeros((n, n))
    found[np.tril_indices(n)] = np.sign(codes) * codes**2 * top
    return found


def colors():
    """N_COLORS of #rrggbb from -1 to 1 of the root scale, those of the figures."""
    table = shares.COLORS(np.linspace(0, 1, N_COLORS))
    return ["#" + "".join(f"{round(255 * c):02x}" for c in rgba[:3]) for rgba in table]


def chunk(kind, data):
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def png(matrix, span):
    """A PNG of one pixel a cell; what a row cannot see is transparent."""
    n = len(matrix)
    root = np.sign(matrix) * np.sqrt(np.minimum(1.0, np.abs(np.nan_to_num(matrix)) / span))
    index = 1 + np.rint((root + 1) / 2 * (N_COLORS - 1)).astype(np.uint8)
    index[np.triu_indices(n, 1)] = 0
    rows = b"".join(b"\0" + row.tobytes() for row in index)
    palette = bytes.fromhex("000000" + "".join(c[1:] for c in colors()))
    header = struct.pack(">IIBBBBB", n, n, 8, 3, 0, 0, 0)
    parts = ((b"IHDR", header), (b"PLTE", palette), (b"tRNS", b"\0"))
    parts += ((b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*p) for p in parts)


def png_uri(matrix, span):
    return "data:image/png;base64," + base64.b64encode(png(matrix, span)).decode("ascii")


def packed(stacks, steps):
    """stacks: {seed text: [matrix of each step]} -> the viewer's record of one variant."""
    tops, data = [], b""
    for matrices in stacks.values():
        for matrix in matrices:
            top, cells = encode(matrix)
            tops.append(float(f"{top:.5g}"))
            data += cells
    first = next(iter(stacks.values()))[0]
    return {
        "n": len(first),
        "steps": steps,
        "seeds": list(stacks),
        "top": tops,
        "data": base64.b64encode(data).decode("ascii"),
    }


def fewer(values, most):
    """At most `most` of the values, evenly, with both ends."""
    if len(values) <= most:
        return list(values)
    at = np.unique(np.rint(np.linspace(0, len(values) - 1, max(most, 2))).astype(int))
    return [values[i] for i in at]
