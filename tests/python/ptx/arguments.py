"""Arguments of kernels, laid out as C++ lays them out."""

import numpy as np

from .memory import Array, Fault
from .operations import from_bf16, to_bf16

POINTER = np.uint64


def bits_of(value):
    """As it lies in memory: an array on the device is its address, None a null pointer."""
    if isinstance(value, Array):
        return POINTER(value.address)
    if value is None:
        return POINTER(0)
    if isinstance(value, (list, tuple)):
        return np.array([bits_of(x) for x in value])
    if isinstance(value, (np.generic, np.ndarray)):
        return value
    raise TypeError(f"{value!r}: give it a type")


def struct(*members):
    """A struct of members in order: numbers of a type, arrays on the device, lists of them."""
    values = [bits_of(m) for m in members]
    kinds = [(f"m{k}", v.dtype, v.shape) for k, v in enumerate(values)]
    whole = np.zeros((), np.dtype(kinds, align=True))
    for k, v in enumerate(values):
        whole[f"m{k}"] = v
    return whole[()]


def rows(arrays, room):
    """Pointers to `room` rows, of which there are some."""
    return [*arrays, *[None] * (room - len(arrays))]


def fields_of(dtype, at):
    """(offset, size) of each number in it."""
    if dtype.subdtype:
        of, shape = dtype.subdtype
        for k in range(int(np.prod(shape))):
            yield from fields_of(of, at + k * of.itemsize)
    elif dtype.fields:
        for of, offset in dtype.fields.values():
            yield from fields_of(of, at + offset)
    else:
        yield at, dtype.itemsize


def packed(kernel, arguments):
    """Bytes of all arguments, and their fields."""
    names = list(kernel.parameters.values())
    if len(names) != len(arguments):
        raise Fault(f"{kernel.name} takes {len(names)} arguments, not {len(arguments)}")
    data, fields = np.zeros(max((p.offset + p.size for p in names), default=0), np.uint8), set()
    for k, (parameter, value) in enumerate(zip(names, map(bits_of, arguments))):
        size = value.dtype.itemsize
        if size != parameter.size or parameter.offset % value.dtype.alignment:
            raise Fault(f"{kernel.name}: argument {k} has {size} bytes, not {parameter.size}")
        first = parameter.offset
        data[first : first + size] = np.frombuffer(value.tobytes(), np.uint8)
        fields.update(fields_of(value.dtype, first))
    return data, fields


def bf16(x):
    return to_bf16(np.asarray(x, np.float32))


def doubles(x):
    """Of what a kernel read or wrote: bf16 as 16 bits, or floats."""
    return (from_bf16(x) if x.dtype == np.uint16 else x).astype(np.float64)
