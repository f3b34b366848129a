"""Memory of the device and of its blocks, and who touched it: what is out of bounds, not aligned,
not written or written and read without a barrier between is a Fault.

Two threads' accesses to the same place, one of them a write, need a barrier of their block between
them, or of their warp; threads of two blocks have none. A shuffle is no barrier.
"""

import numpy as np

GRANULE = 2  # bytes that one entry of the books below stands for
FREE, UNWRITTEN, ASYNC, HOST, NOBODY = -1, -2, -3, -4, -5  # in place of a thread
ALONE, OF_WARP, OF_BLOCK, OF_GRID = range(4)  # who read: a thread, or several of its ...


class Fault(Exception):
    """What a kernel must not do."""


class Threads:
    """Of all blocks of a grid, and the steps at which they last met."""

    def __init__(self, blocks, size):
        self.n = blocks * size
        self.of_block = size
        self.block = np.arange(self.n) // size
        self.warp = self.block * (size // 32) + np.arange(self.n) % size // 32
        self.met_block = np.zeros(self.n, np.int64)
        self.met_warp = np.zeros(self.n, np.int64)
        self.step = 0

    def apart(self, x, y):
        """ALONE where they are one thread, OF_WARP where they are of one warp, and so on."""
        return (x != y) + (self.warp[x] != self.warp[y]).astype(int) + (self.block[x] != self.block[y])

    def name(self, thread):
        return f"thread {thread % self.of_block} of block {thread // self.of_block}"


class Memory:
    """Pieces of `size` bytes at addresses base ..: one of the device, or one a block.

    poisoned: what nobody wrote may be read, but is NaN; else that is a Fault.
    """

    def __init__(self, what, base, size, pieces=1, poisoned=False):
        self.what, self.base, self.size = what, base, up_to_granules(size)
        self.poisoned = poisoned
        self.bytes = np.full(pieces * self.size, 0xFF, np.uint8)  # NaN
        n = pieces * self.size // GRANULE
        self.writer = np.full(n, FREE)
        self.written = np.zeros(n, np.int64)  # step
        self.reader = np.full(n, NOBODY)  # the last
        self.readers = np.zeros(n, int)  # ALONE .. OF_GRID
        self.read_at = np.zeros(n, np.int64)

    def forget(self):
        """A new grid: all that was done before is done."""
        self.writer[self.writer >= 0] = HOST
        self.reader[:] = NOBODY

    def touched(self, address, size, piece):
        """Offsets of the bytes, and the entries of the books (threads, granules)."""
        offset = address.astype(np.int64) - self.base
        if ((offset < 0) | (offset + size > self.size)).any():
            raise Fault(f"out of bounds of {self.what}")
        if (offset % size).any():
            raise Fault(f"{size} bytes of {self.what} at an address that is no multiple of {size}")
        offset = offset + piece * self.size
        entries = offset[:, None] // GRANULE + np.arange(max(1, size // GRANULE))
        if (self.writer[entries] == FREE).any():
            raise Fault(f"out of bounds of {self.what}")
        return offset, entries

    def read(self, threads, ids, address, size, piece=0):
        """Bytes (threads, size)."""
        offset, entries = self.touched(address, size, piece)
        writer, own = self.writer[entries], ids[:, None]
        if not self.poisoned and (writer == UNWRITTEN).any():
            raise Fault(f"reads what nobody wrote in {self.what}")
        if (writer == ASYNC).any():
            raise Fault(f"reads what cp.async may not have brought to {self.what} yet")
        self.check_met(threads, own, writer, self.written[entries], "was written")
        self.note_readers(threads, ids, entries)
        return self.bytes[offset[:, None] + np.arange(size)]

    def write(self, threads, ids, address, data, piece=0, later=False):
        """`data` (threads, bytes). later: by cp.async, until when it is NaN."""
        size = data.shape[1]
        offset, entries = self.touched(address, size, piece)
        own = ids[:, None]
        self.check_met(threads, own, self.writer[entries], self.written[entries], "was written")
        self.check_readers(threads, own, entries)
        self.writer[entries] = own
        if (self.writer[entries] != own).any():
            raise Fault(f"two threads write the same place in {self.what} at once")
        if later:
            self.writer[entries] = ASYNC
        self.written[entries] = threads.step
        self.reader[entries] = NOBODY
        self.bytes[offset[:, None] + np.arange(size)] = 0xFF if later else data

    def arrive(self, threads, ids, address, data, piece):
        """What cp.async brings, at last."""
        offset, entries = self.touched(address, data.shape[1], piece)
        self.writer[entries] = ids[:, None]
        self.written[entries] = threads.step
        self.bytes[offset[:, None] + np.arange(data.shape[1])] = data

    def check_met(self, threads, own, other, step, did):
        """other: threads, if any, that did something here at a step."""
        strange = (other >= 0) & (other != own)
        if strange.any():
            them = np.where(strange, other, own)
            met = self.met(threads, own, them, ALONE, step)
            self.refuse(threads, own, strange & ~met, other, did)

    def met(self, threads, own, them, which, step):
        """Whether a barrier was between what they, and which others, did at a step, and now."""
        met = (threads.block[them] == threads.block[own]) & (step < threads.met_block[own])
        of_warp = (threads.warp[them] == threads.warp[own]) & (step < threads.met_warp[own])
        return met & (which <= OF_BLOCK) | of_warp & (which <= OF_WARP)

    def check_readers(self, threads, own, entries):
        them, which = self.reader[entries], self.readers[entries]
        met = self.met(threads, own, them, which, self.read_at[entries])
        strange = (them != NOBODY) & ((which != ALONE) | (them != own))
        them = np.where(which == ALONE, them, NOBODY)
        self.refuse(threads, own, strange & ~met, them, "was read")

    def refuse(self, threads, own, wrong, other, did):
        if not wrong.any():
            return
        i, j = np.argwhere(wrong)[0]
        by = threads.name(other[i, j]) if other[i, j] >= 0 else "several threads"
        raise Fault(
            f"{threads.name(own[i, 0])} is at what {did} by {by} in {self.what}, no barrier between"
        )

    def note_readers(self, threads, ids, entries):
        own, before, which = ids[:, None], self.reader[entries], self.readers[entries]
        # Older readers that this thread has met since need not be known any more.
        met = self.met(threads, own, before, which, self.read_at[entries])
        fresh = (before == NOBODY) | met
        which = np.where(fresh, ALONE, np.maximum(which, threads.apart(before, own)))
        self.reader[entries] = own  # of several threads at once one remains
        which = np.maximum(which, threads.apart(self.reader[entries], own))
        self.readers[entries] = ALONE
        for several in range(OF_WARP, which.max(initial=ALONE) + 1):
            self.readers[entries[which == several]] = several
        self.read_at[entries] = threads.step


def up_to_granules(size):
    return (size + GRANULE - 1) // GRANULE * GRANULE


class Array:
    """numpy's on the device."""

    def __init__(self, memory, address, shape, dtype):
        self.memory, self.address, self.shape, self.dtype = memory, address, shape, dtype

    def get(self):
        """What is there now. What nobody wrote is 0xff bytes: NaN."""
        size = int(np.prod(self.shape)) * self.dtype.itemsize
        first = self.address - self.memory.base
        return self.memory.bytes[first : first + size].view(self.dtype).reshape(self.shape).copy()


class Device(Memory):
    """Arrays of device memory, far enough apart that what leaves one meets none."""

    GAP = 4096

    def __init__(self, size=1 << 20):
        super().__init__("device memory", 1 << 40, size)
        self.used = self.GAP

    def empty(self, shape, dtype):
        """To be written before it is read."""
        dtype = np.dtype(dtype)
        first, size = self.used, int(np.prod(shape)) * dtype.itemsize
        self.used += (size + 2 * self.GAP - 1) // self.GAP * self.GAP
        if self.used > self.size:
            raise ValueError("the device's memory is too small")
        self.writer[first // GRANULE : up_to_granules(first + size) // GRANULE] = UNWRITTEN
        return Array(self, self.base + first, np.atleast_1d(shape), dtype)

    def put(self, values):
        values = np.ascontiguousarray(values)
        array = self.empty(values.shape, values.dtype)
        first = array.address - self.base
        self.bytes[first : first + values.nbytes] = values.reshape(-1).view(np.uint8)
        self.writer[first // GRANULE : up_to_granules(first + values.nbytes) // GRANULE] = HOST
        return array
