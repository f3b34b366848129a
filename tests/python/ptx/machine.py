"""Runs kernels: all threads of a grid side by side, those that stand at the lowest instruction
first, so that they meet again by themselves. What waits for others (barriers, shuffles) waits.
"""

import numpy as np

from .arguments import packed
from .assembly import TYPES, UNSIGNED, Address, Constant, Register, Symbol
from .memory import UNWRITTEN, Fault, Memory, Threads
from .operations import OPERATIONS

PARAMETERS, SHARED = 1 << 12, 1 << 16  # where arguments, and where shared memory begin
MOST_SHARED = 227 << 10
OF_WARPS = ("mma", "ldmatrix")  # by all lanes, without a mask


def launch(device, kernel, blocks, threads, arguments, shared=0):
    """shared: dynamic, bytes. Returns the number of steps that the grid took."""
    if threads > kernel.most_threads or threads % 32 and threads > 1:
        raise Fault(f"{kernel.name}: {threads} threads a block")
    if kernel.shared_bytes + shared > MOST_SHARED:
        raise Fault(f"{kernel.name}: {kernel.shared_bytes + shared} bytes of shared memory")
    device.forget()
    return Grid(device, kernel, blocks, threads, arguments, shared).run()


class Grid:
    def __init__(self, device, kernel, blocks, threads, arguments, shared):
        self.kernel, self.device = kernel, device
        self.threads = Threads(blocks, max(threads, 32))  # a thread alone has a warp of its own
        self.n = n = self.threads.n
        size = kernel.shared_bytes + shared
        self.shared = Memory("shared memory", SHARED, size, blocks, poisoned=True)
        self.shared.writer[:] = UNWRITTEN
        self.parameters, self.fields = packed(kernel, arguments)
        self.registers = {name: np.zeros(n, t) for name, t in kernel.registers.items()}
        index = np.arange(n, dtype=np.uint32)
        self.registers |= {
            "%tid.x": index % self.threads.of_block,
            "%ctaid.x": index // self.threads.of_block,
            "%ntid.x": np.full(n, threads, np.uint32),
            "%nctaid.x": np.full(n, blocks, np.uint32),
            "%laneid": index % 32,
        }
        self.pc = np.zeros(n, np.int64)
        self.running, self.waiting = index % self.threads.of_block < threads, np.zeros(n, bool)
        self.active = self.running.copy()  # at the instruction that runs
        self.ids = np.arange(n)
        self.groups = np.zeros(n, np.int64)  # of cp.async, closed
        self.copies = []  # under way, oldest first
        self.code = []
        for i in kernel.code:
            if i.key not in OPERATIONS and i.key not in self.CONTROL:
                raise Fault(f"{kernel.name}, line {i.line}: not known: {i.text}")
            self.code.append((i, self.CONTROL.get(i.key), OPERATIONS.get(i.key)))

    def run(self):
        with np.errstate(all="ignore"):
            while self.running.any():
                ready = self.running & ~self.waiting
                if not ready.any():
                    self.stuck()
                here = self.pc[ready].min()
                self.active = ready & (self.pc == here)
                others = self.pc[ready & ~self.active]
                self.together(here, others.min() if others.size else None)
        return self.threads.step

    def together(self, here, meet):
        """The active threads, all of them at `here`, until they may part or others are at `meet`."""
        group, ids = self.active, np.flatnonzero(self.active)
        while here != meet:
            i, control, execute = self.code[here]
            self.active, self.ids = group, ids
            self.threads.step += 1
            try:
                if control:
                    self.pc[group] = here
                    return control(self, i, here)
                self.guarded(i)
                if self.ids.size:
                    execute(self, i)
            except Fault as fault:
                raise Fault(f"{self.kernel.name}, line {i.line}, {i.text}: {fault}") from None
            here += 1
        self.pc[group] = here

    def guarded(self, i):
        if i.guard:
            self.active = self.active & (self.registers[i.guard.name] == i.guard_is)
            self.ids = np.flatnonzero(self.active)

    # ---- control --------------------------------------------------------------------------------

    def branch(self, i, here):
        self.pc[self.active] += 1
        self.guarded(i)
        self.pc[self.active] = self.kernel.labels[i.operands[0].name]

    def leave(self, i, here):
        self.pc[self.active] += 1
        self.guarded(i)
        if any(self.active[ids].any() for ids, *_ in self.copies):
            raise Fault("cp.async is under way")
        self.running &= ~self.active

    def arrived(self, here, size):
        """Threads here of pieces of `size` of which all are; the others wait."""
        if self.code[here][0].guard:
            raise Fault("not known: a guard where threads meet")
        at = self.running & (self.pc == here)
        whole = np.repeat(at.reshape(-1, size).all(1), size)
        self.waiting |= at
        self.active = at & whole
        self.waiting &= ~self.active
        self.pc[self.active] += 1
        self.ids = np.flatnonzero(self.active)
        return self.ids.size > 0

    def barrier(self, i, here):
        if i.operands[0] != Constant(0) or len(i.operands) > 1:
            raise Fault("not known: a barrier of part of a block")
        if self.arrived(here, self.threads.of_block):
            self.threads.met_block[self.active] = self.threads.step
            self.threads.met_warp[self.active] = self.threads.step

    def warp_barrier(self, i, here):
        if self.warp_arrived(i, here):
            self.threads.met_warp[self.active] = self.threads.step

    def warp_operation(self, i, here):
        if self.warp_arrived(i, here):
            OPERATIONS[i.key](self, i)

    def warp_arrived(self, i, here):
        mask = None if i.key.startswith(OF_WARPS) else self.value(i.operands[-1], "u32")
        if mask is not None:
            mask = np.broadcast_to(mask, self.n)[self.active]
            if (mask != 0xFFFFFFFF).any():
                raise Fault(f"a mask without all lanes, {mask[mask != 0xFFFFFFFF][0]:#x}")
        return self.arrived(here, 32)

    def stuck(self):
        """Nobody can go on: of a block or warp, some wait where others do not come."""
        threads = np.flatnonzero(self.running)
        places = sorted({int(pc) for pc in self.pc[threads]})
        where = "; ".join(f"line {self.code[pc][0].line}, {self.code[pc][0].text}" for pc in places)
        left = " for threads that have returned" if not self.running.all() else ""
        raise Fault(f"{self.kernel.name}: threads wait{left} at {where}")

    CONTROL = {
        "bra": branch, "bra.uni": branch, "ret": leave, "bar.sync": barrier,
        "bar.warp.sync": warp_barrier,
    }  # fmt: skip
    CONTROL |= dict.fromkeys([k for k in OPERATIONS if k.startswith(("shfl", "vote", *OF_WARPS))],
                             warp_operation)  # fmt: skip

    # ---- registers ------------------------------------------------------------------------------

    def value(self, operand, kind):
        """Of all threads; one number where it is a constant."""
        dtype = np.dtype(TYPES.get(kind, kind))
        if isinstance(operand, Register):
            register = self.registers[operand.name]
            if register.dtype.itemsize == dtype.itemsize:
                return register.view(dtype)
            if register.dtype.itemsize < dtype.itemsize:
                raise Fault(f"{operand.name} is narrower than {dtype}")
            return register.view(UNSIGNED[register.itemsize]).astype(UNSIGNED[dtype.itemsize]).view(dtype)
        if isinstance(operand, Symbol):
            return np.asarray(self.address_of(operand.name), dtype)
        if dtype == bool:
            return np.asarray(bool(operand.bits))
        bits = operand.bits % (1 << 8 * dtype.itemsize)
        if operand.float_bytes not in (0, dtype.itemsize):
            raise Fault(f"a constant of {operand.float_bytes} bytes as {dtype}")
        return np.asarray(bits, UNSIGNED[dtype.itemsize]).view(dtype)

    def address_of(self, name):
        if name in self.kernel.parameters:
            return PARAMETERS + self.kernel.parameters[name].offset
        return SHARED + self.kernel.shared[name]

    def put(self, operand, value):
        """To the register of the threads that are active. A wider one is filled by the sign."""
        if operand.name == "_":
            return
        register = self.registers[operand.name]
        value = np.asarray(value)
        if value.dtype.itemsize < register.dtype.itemsize:
            sign = value.dtype.kind == "i"
            value = value.astype(f"{'i' if sign else 'u'}{register.dtype.itemsize}")
        elif value.dtype.itemsize > register.dtype.itemsize:
            raise Fault(f"{operand.name} is narrower than {value.dtype}")
        np.copyto(register.view(value.dtype), value, where=self.active)

    def spread(self, values):
        """Of the active threads -> of all."""
        if values.size == self.n:
            return values
        all_values = np.zeros(self.n, values.dtype)
        all_values[self.ids] = values
        return all_values

    # ---- memory ---------------------------------------------------------------------------------

    def addresses(self, address):
        assert isinstance(address, Address)
        if isinstance(address.base, Symbol):
            first = np.full(self.n, self.address_of(address.base.name))
        else:
            bits = self.registers[address.base.name].dtype.itemsize
            first = self.value(address.base, UNSIGNED[bits]).astype(np.int64)
        return first[self.ids] + address.offset

    def memory_at(self, addresses):
        inside = addresses < self.device.base
        if inside.any() and not inside.all():
            raise Fault("addresses of shared and of device memory")
        if inside.all():
            return self.shared, self.threads.block[self.ids]
        return self.device, 0

    def load(self, address, size):
        at = self.addresses(address)
        memory, piece = self.memory_at(at)
        return memory.read(self.threads, self.ids, at, size, piece)

    def store(self, address, data):
        at = self.addresses(address)
        memory, piece = self.memory_at(at)
        memory.write(self.threads, self.ids, at, data, piece)

    def parameter(self, address, size, count):
        """Bytes (threads, size * count). Each of the numbers is a field of the argument."""
        at = self.addresses(address) - PARAMETERS
        for first in np.unique(at):
            if first % (size * count):
                raise Fault(f"{size * count} bytes of a parameter at {first}")
            for k in range(first, first + size * count, size):
                if (k, size) not in self.fields:
                    raise Fault(f"no field of {size} bytes at {k} of the arguments")
        return self.parameters[at[:, None] + np.arange(size * count)]

    # ---- cp.async -------------------------------------------------------------------------------

    def copy_later(self, to, of, live):
        to_at, of_at, live = self.addresses(to), self.addresses(of), live[self.ids]
        if (to_at >= self.device.base).any() or (of_at < self.device.base).any():
            raise Fault("cp.async goes from device to shared memory")
        if not np.isin(live, (0, 16)).all():
            raise Fault("not known: cp.async of some of its bytes")
        self.device.touched(of_at, 16, 0)
        comes = live == 16
        data = np.zeros((self.ids.size, 16), np.uint8)
        data[comes] = self.device.read(self.threads, self.ids[comes], of_at[comes], 16)
        piece = self.threads.block[self.ids]
        self.shared.write(self.threads, self.ids, to_at, data, piece, later=True)
        self.copies.append((self.ids, self.groups[self.ids], to_at, data))

    def wait_for(self, newest):
        """Until all but the newest groups of each thread have arrived."""
        left = []
        for ids, group, at, data in self.copies:
            comes = self.active[ids] & (group < self.groups[ids] - newest)
            if comes.any():
                piece = self.threads.block[ids[comes]]
                self.shared.arrive(self.threads, ids[comes], at[comes], data[comes], piece)
            if not comes.all():
                left.append((ids[~comes], group[~comes], at[~comes], data[~comes]))
        self.copies = left
