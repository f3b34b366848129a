"""What one instruction does, for all threads that are at it. Written from the text of the PTX ISA.
An opcode that is not here is an error.

OPERATIONS[key](machine, instruction); the key is the opcode without its types.
"""

import numpy as np

from .assembly import TYPES, UNSIGNED
from .memory import Fault

OPERATIONS = {}


def pure(*keys, operands=()):
    """f(type, values...) of registers. Types of operands after the result, where not its own."""

    def add(f):
        def execute(machine, i):
            kind = i.types[-1]
            kinds = [(operands[k : k + 1] or (None,))[0] or kind for k in range(len(i.operands) - 1)]
            values = [machine.value(x, t) for x, t in zip(i.operands[1:], kinds)]
            machine.put(i.operands[0], f(TYPES[kind], *values))

        OPERATIONS.update(dict.fromkeys(keys, execute))
        return f

    return add


def operation(*keys):
    def add(f):
        OPERATIONS.update(dict.fromkeys(keys, f))
        return f

    return add


# ---- numbers ------------------------------------------------------------------------------------

pure("add", "add.rn")(lambda t, x, y: x + y)
pure("sub", "sub.rn")(lambda t, x, y: x - y)
pure("mul", "mul.rn", "mul.lo")(lambda t, x, y: x * y)
pure("mad.lo")(lambda t, x, y, z: x * y + z)
pure("neg")(lambda t, x: -x)
pure("abs")(lambda t, x: np.abs(x))
pure("min")(lambda t, x, y: np.fmin(x, y))
pure("max")(lambda t, x, y: np.fmax(x, y))
pure("and")(lambda t, x, y: x & y)
pure("or")(lambda t, x, y: x | y)
pure("xor")(lambda t, x, y: x ^ y)
pure("not")(lambda t, x: ~x)
pure("cvta.to.global", "cvta.to.shared", "cvta.global", "cvta.shared")(lambda t, x: x)
pure("selp", operands=(None, None, "pred"))(lambda t, x, y, p: np.where(p, x, y))
pure("sqrt.rn")(lambda t, x: np.sqrt(x))
pure("rcp.rn")(lambda t, x: t(1) / x)
pure("fma.rn")(lambda t, x, y, z: fused(t, x, y, z))
pure("copysign")(lambda t, sign, x: np.copysign(x, sign))


def wider(t):
    return {np.float32: np.float64, np.float64: np.longdouble}[t]


def fused(t, x, y, z):
    w = wider(t)  # which holds the product of floats; the sum may round twice
    return (x.astype(w) * y.astype(w) + z.astype(w)).astype(t)


@pure("fma.rm")
def fused_down(t, x, y, z):
    assert t is np.float32
    exact = x.astype(np.float64) * y.astype(np.float64) + z.astype(np.float64)
    near = exact.astype(t)
    return np.where(near > exact, np.nextafter(near, t(-np.inf)), near)


def flushed(x):
    return np.where(np.abs(x) < np.float32(2.0**-126), np.copysign(np.float32(0), x), x)


def approximation(f):
    return lambda t, x: flushed(f(flushed(x).astype(np.float64)).astype(np.float32))


pure("rcp.approx.ftz")(approximation(lambda x: 1 / x))
pure("rsqrt.approx.ftz")(approximation(lambda x: 1 / np.sqrt(x)))
pure("ex2.approx.ftz")(approximation(np.exp2))


@operation("div", "div.rn", "rem")
def div(machine, i):
    """Of integers, towards 0."""
    t = TYPES[i.types[-1]]
    x, y = (np.broadcast_to(machine.value(o, i.types[-1]), machine.n) for o in i.operands[1:])
    if t in (np.float32, np.float64):
        return machine.put(i.operands[0], x / y)
    if (y[machine.active] == 0).any():
        raise Fault("divides by 0")
    quotient = (np.abs(x) // np.maximum(np.abs(y), t(1))).astype(t)
    quotient = np.where((x < 0) != (y < 0), -quotient, quotient)
    machine.put(i.operands[0], x - quotient * y if i.key == "rem" else quotient)


@pure("shl", operands=(None, "u32"))
def shl(t, x, n):
    bits = 8 * np.dtype(t).itemsize
    return np.where(n < bits, x << np.minimum(n, bits - 1).astype(t), t(0))


@pure("shr", operands=(None, "u32"))
def shr(t, x, n):
    bits = 8 * np.dtype(t).itemsize
    shifted = x >> np.minimum(n, bits - 1).astype(t)
    return shifted if np.dtype(t).kind == "i" else np.where(n < bits, shifted, t(0))


@pure("bfi", operands=(None, None, "u32", "u32"))
def bfi(t, x, y, first, count):
    mask = (((t(1) << count.astype(t)) - t(1)) << first.astype(t)).astype(t)
    return (y & ~mask) | ((x << first.astype(t)) & mask)


@pure("prmt")
def prmt(t, x, y, selectors):
    """Each byte of the result is one of the eight of y and x, or (8 more) eight times its sign."""
    both = y.astype(np.uint64) << np.uint64(32) | x
    result = np.zeros(np.broadcast_shapes(both.shape, selectors.shape), np.uint32)
    for k in range(4):
        which = selectors >> t(4 * k) & t(15)
        byte = (both >> (which & t(7)).astype(np.uint64) * np.uint64(8)).astype(np.uint32) & t(255)
        byte = np.where(which < 8, byte, t(255) * (byte >> t(7)))
        result |= byte << t(8 * k)
    return result


@operation("popc")
def popc(machine, i):
    bits = np.unpackbits(machine.value(i.operands[1], i.types[-1]).reshape(-1, 1).view(np.uint8), axis=1)
    machine.put(i.operands[0], bits.sum(1).astype(np.uint32))


@operation("trap")
def trap(machine, i):
    raise Fault("reached")


def wide(t):
    kind, size = np.dtype(t).kind, np.dtype(t).itemsize
    return np.dtype(f"{kind}{2 * size}").type


@operation("mul.wide", "mul.hi")
def mul_wide(machine, i):
    t = TYPES[i.types[-1]]
    x, y = (machine.value(o, i.types[-1]).astype(wide(t)) for o in i.operands[1:])
    product = x * y
    high = i.key == "mul.hi"
    bits = 8 * np.dtype(t).itemsize
    machine.put(i.operands[0], (product >> wide(t)(bits)).astype(t) if high else product)


# ---- comparisons --------------------------------------------------------------------------------


def unordered(x, y):
    return (x != x) | (y != y)


COMPARISONS = {
    "eq": lambda x, y: x == y,
    "ne": lambda x, y: (x != y) & ~unordered(x, y),
    "lt": lambda x, y: x < y,
    "le": lambda x, y: x <= y,
    "gt": lambda x, y: x > y,
    "ge": lambda x, y: x >= y,
    "nan": unordered,
    "num": lambda x, y: ~unordered(x, y),
}
COMPARISONS.update({  # true of NaN
    name + "u": lambda x, y, f=COMPARISONS[name]: f(x, y) | unordered(x, y)
    for name in ("eq", "ne", "lt", "le", "gt", "ge")
})  # fmt: skip
for name, compare in COMPARISONS.items():
    pure(f"setp.{name}")(lambda t, x, y, f=compare: f(x, y))


# ---- conversions --------------------------------------------------------------------------------


def to_bf16(x):
    """Nearest, ties to even; of floats, as 16 bits."""
    bits = np.asarray(x, np.float32).view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> 16) & 1)) >> 16
    return np.where(np.isnan(x), np.uint32(0x7FFF), rounded).astype(np.uint16)


def from_bf16(bits):
    return (np.asarray(bits).astype(np.uint32) << 16).view(np.float32)


@operation("cvt.sat")
def cvt_sat(machine, i):
    x = machine.value(i.operands[1], i.types[1])
    machine.put(i.operands[0], np.where(np.isnan(x), x.dtype.type(0), np.clip(x, 0, 1)))


@operation("cvt", "cvt.rn", "cvt.rzi", "cvt.rni")
def cvt(machine, i):
    to, of = i.types
    values = [machine.value(x, of) for x in i.operands[1:]]
    x = values[0]
    if to == "bf16x2":
        x = to_bf16(x).astype(np.uint32) << 16 | to_bf16(values[1])
    elif to == "bf16":
        x = to_bf16(x)
    elif of == "bf16":
        x = from_bf16(x).astype(TYPES[to])
    else:
        x = {"cvt.rzi": np.trunc, "cvt.rni": np.rint}.get(i.key, lambda x: x)(x).astype(TYPES[to])
    machine.put(i.operands[0], x)


@operation("mov")
def mov(machine, i):
    to, of = i.operands
    kind = i.types[-1]
    if isinstance(of, tuple):
        part = UNSIGNED[np.dtype(TYPES[kind]).itemsize // len(of)]
        parts = [machine.value(x, part) for x in of]
        machine.put(to, np.stack(np.broadcast_arrays(*parts), 1).copy().view(TYPES[kind])[:, 0])
    elif isinstance(to, tuple):
        whole = np.ascontiguousarray(np.broadcast_to(machine.value(of, kind), machine.n))
        part = UNSIGNED[whole.dtype.itemsize // len(to)]
        for k, x in enumerate(to):
            machine.put(x, whole.view(part)[k :: len(to)])
    else:
        machine.put(to, machine.value(of, kind))


# ---- memory -------------------------------------------------------------------------------------


def together(operand):
    return operand if isinstance(operand, tuple) else (operand,)


def is_vector(key, count):
    vector = [part for part in key.split(".") if part in ("v2", "v4")]
    return count == (int(vector[0][1]) if vector else 1)


@operation(*(f"ld{where}{cached}{v}" for where in (".param", ".global", ".shared", "")
             for cached in ("", ".nc") for v in ("", ".v2", ".v4")))  # fmt: skip
def ld(machine, i):
    kind = TYPES[i.types[-1]]
    to = together(i.operands[0])
    assert is_vector(i.key, len(to)), i.text
    size = np.dtype(kind).itemsize
    if i.key.startswith("ld.param"):
        values = machine.parameter(i.operands[1], size, len(to))
    else:
        values = machine.load(i.operands[1], size * len(to))
    for k, x in enumerate(to):
        part = np.ascontiguousarray(values[:, k * size : (k + 1) * size]).view(kind)[:, 0]
        machine.put(x, machine.spread(part))


@operation(*(f"st{where}{v}" for where in (".global", ".shared", "") for v in ("", ".v2", ".v4")))
def st(machine, i):
    of = together(i.operands[1])
    assert is_vector(i.key, len(of)), i.text
    parts = [np.broadcast_to(machine.value(x, i.types[-1]), machine.n) for x in of]
    data = np.ascontiguousarray(np.stack(parts, 1)[machine.ids]).view(np.uint8)
    machine.store(i.operands[0], data)


@operation("cp.async.cg.shared.global")
def copy_async(machine, i):
    to, of, size, *bytes_of_source = i.operands
    assert size.bits == 16, i.text
    live = machine.value(bytes_of_source[0], "u32") if bytes_of_source else np.uint32(16)
    machine.copy_later(to, of, np.broadcast_to(live, machine.n))


@operation("cp.async.commit_group")
def commit(machine, i):
    machine.groups[machine.active] += 1


@operation("cp.async.wait_group")
def wait_group(machine, i):
    machine.wait_for(i.operands[0].bits)


# ---- warps --------------------------------------------------------------------------------------
# The machine lets whole warps come here, all lanes of the mask.


@operation("shfl.sync.bfly", "shfl.sync.idx", "shfl.sync.up", "shfl.sync.down")
def shfl(machine, i):
    x = np.broadcast_to(machine.value(i.operands[1], "b32"), machine.n)
    by, clamp = (machine.value(o, "u32").astype(np.int64) for o in i.operands[2:4])
    whole = np.broadcast_to(clamp == (0 if i.key.endswith("up") else 31), machine.n)
    if not whole[machine.active].all():
        raise Fault("a shuffle of parts of a warp")
    lane = np.arange(machine.n) % 32
    of = {"bfly": lane ^ by, "idx": by + 0 * lane, "up": lane - by, "down": lane + by}
    of = of[i.key.split(".")[2]]
    of = np.where((of >= 0) & (of < 32), of, lane)
    source = np.arange(machine.n) - lane + of
    if not machine.active[source[machine.active]].all():
        raise Fault("a shuffle from a lane that is not there")
    machine.put(i.operands[0], x[source])


@operation("vote.sync.any", "vote.sync.all", "vote.sync.ballot")
def vote(machine, i):
    x = np.broadcast_to(machine.value(i.operands[1], "pred"), machine.n).reshape(-1, 32)
    there = machine.active.reshape(-1, 32)
    if i.key.endswith("ballot"):
        bits = ((x & there) * (np.uint64(1) << np.arange(32, dtype=np.uint64))).sum(1)
        result = bits.astype(np.uint32)
    else:
        result = (x & there).any(1) if i.key.endswith("any") else (x | ~there).all(1)
    machine.put(i.operands[0], np.repeat(result, 32))


def pairs_of(x):
    """(warps, 32, 2) numbers of registers with two of bf16."""
    return from_bf16(x.view(np.uint16)).reshape(-1, 32, 2)


@operation("mma.sync.aligned.m16n8k16.row.col")
def mma(machine, i):
    """d (16, 8) = a (16, 16) b (16, 8) + c, bf16 and float; groups of four lanes have the rows."""
    if i.types != ("f32", "bf16", "bf16", "f32"):
        raise Fault(f"not known: {i.text}")
    warps = machine.n // 32
    group, place = np.arange(32)[:, None] // 4, 2 * (np.arange(32)[:, None] % 4) + np.arange(2)
    a, b = np.zeros((warps, 16, 16)), np.zeros((warps, 16, 8))
    for r, register in enumerate(i.operands[1]):
        a[:, group + 8 * (r % 2), place + 8 * (r // 2)] = pairs_of(machine.value(register, "b32"))
    for r, register in enumerate(i.operands[2]):
        b[:, place + 8 * r, group] = pairs_of(machine.value(register, "b32"))
    product = a @ b
    for r, (to, add) in enumerate(zip(i.operands[0], i.operands[3])):
        own = product[:, group[:, 0] + 8 * (r // 2), place[:, r % 2]].reshape(-1)
        machine.put(to, (machine.value(add, "f32") + own).astype(np.float32))


@operation(*(f"ldmatrix.sync.aligned.m8n8.x{n}{trans}.shared"
             for n in (1, 2, 4) for trans in ("", ".trans")))  # fmt: skip
def ldmatrix(machine, i):
    """Matrices (8, 8) of 16 bits: lane 8 m + r names row r of matrix m, and gets pair lane % 4 of row
    lane / 4, or of that column.
    """
    to, everyone = together(i.operands[0]), machine.ids
    machine.ids = everyone[everyone % 32 < 8 * len(to)]
    x = machine.load(i.operands[1], 16).view(np.uint16).reshape(-1, len(to), 8, 8)
    machine.ids = everyone
    x = x.swapaxes(2, 3) if ".trans" in i.key else x
    for m, register in enumerate(to):
        pairs = np.ascontiguousarray(x[:, m]).view(np.uint32)  # (warps, 8, 4)
        machine.put(register, machine.spread(pairs.reshape(-1)))
