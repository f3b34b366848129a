"""The text of PTX as data: kernels, their parameters and their instructions."""

import functools
import re
import subprocess
from dataclasses import dataclass, field

import numpy as np

TYPES = {
    "pred": np.bool_, "b8": np.uint8, "b16": np.uint16, "b32": np.uint32, "b64": np.uint64,
    "u8": np.uint8, "u16": np.uint16, "u32": np.uint32, "u64": np.uint64,
    "s8": np.int8, "s16": np.int16, "s32": np.int32, "s64": np.int64,
    "f32": np.float32, "f64": np.float64, "bf16": np.uint16, "bf16x2": np.uint32,
}  # fmt: skip
UNSIGNED = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


@dataclass(frozen=True)
class Register:
    name: str


@dataclass(frozen=True)
class Constant:
    bits: int
    float_bytes: int = 0  # of 0f... and 0d...


@dataclass(frozen=True)
class Symbol:  # a variable's address
    name: str


@dataclass(frozen=True)
class Address:
    base: object
    offset: int


@dataclass(frozen=True)
class Instruction:
    line: int
    text: str
    guard: Register
    guard_is: bool  # runs where the guard has this value
    key: str  # the opcode without its types
    types: tuple
    operands: tuple


@dataclass
class Parameter:
    offset: int
    size: int


@dataclass
class Kernel:
    name: str  # as C++ writes it, without namespaces
    parameters: dict = field(default_factory=dict)
    registers: dict = field(default_factory=dict)  # name -> dtype
    shared: dict = field(default_factory=dict)  # static: name -> offset
    shared_bytes: int = 0
    most_threads: int = 1024
    code: list = field(default_factory=list)
    labels: dict = field(default_factory=dict)


def plain_names(mangled):
    """As C++ writes them, without what they return and take, and without our namespaces."""
    run = subprocess.run(
        ["c++filt"], input="\n".join(mangled), capture_output=True, text=True, check=True
    )
    names = [re.sub(r"^void |plumb::(gpu::|test::)?|\(anonymous namespace\)::", "", line)
             for line in run.stdout.splitlines()]  # fmt: skip
    return [re.sub(r"\(.*", "", name).strip() for name in names]


def up_to(offset, align):
    return (offset + align - 1) // align * align


def split(text):
    """At commas that are not in brackets."""
    return re.findall(r"[\[{][^\]}]*[\]}]|[^\s,]+", text)


@functools.cache
def operand(text):
    if text.startswith("["):
        base, _, offset = text[1:-1].partition("+")
        return Address(operand(base.strip()), int(offset or 0))
    if text.startswith("{"):
        return tuple(operand(part) for part in split(text[1:-1]))
    if "|" in text:  # of shfl: value|whether it came
        return operand(text.split("|")[0])
    if text.startswith(("0f", "0d")):
        return Constant(int(text[2:], 16), 4 if text[1] == "f" else 8)
    if text.startswith("%"):
        return Register(text)
    if re.match(r"-?\d", text):
        return Constant(int(text, 0))
    return Symbol(text)


@functools.cache
def opcode(text):
    """The key and the types."""
    first, *parts = text.split(".")
    types = tuple(p for p in parts if p in TYPES)
    return ".".join([first, *(p for p in parts if p not in TYPES)]), types


def instruction(line, text):
    guard, guard_is, rest = None, True, text
    if text.startswith("@"):
        guard, rest = text[1:].split(None, 1)
        guard, guard_is = Register(guard.lstrip("!")), not guard.startswith("!")
    name, _, operands = rest.partition(" ")
    return Instruction(line, text, guard, guard_is, *opcode(name), tuple(map(operand, split(operands))))


def declare(kernel, text):
    """A parameter, register or variable of a kernel, or its bounds."""
    if match := re.fullmatch(r"\.param (?:\.align (\d+) )?\.(\w+) (\w+)(?:\[(\d+)\])?,?", text):
        size = np.dtype(TYPES[match[2]]).itemsize
        last = max((p.offset + p.size for p in kernel.parameters.values()), default=0)
        at = up_to(last, int(match[1] or size))
        kernel.parameters[match[3]] = Parameter(at, size * int(match[4] or 1))
    elif match := re.fullmatch(r"\.reg \.(\w+) (.*)", text):
        for name in split(match[2]):
            many = re.fullmatch(r"(%\w+)<(\d+)>", name)
            names = [f"{many[1]}{i}" for i in range(int(many[2]))] if many else [name]
            kernel.registers.update(dict.fromkeys(names, TYPES[match[1]]))
    elif match := re.fullmatch(r"\.shared \.align (\d+) \.b8 (\w+)\[(\d+)\]", text):
        kernel.shared[match[2]] = up_to(kernel.shared_bytes, int(match[1]))
        kernel.shared_bytes = kernel.shared[match[2]] + int(match[3])
    elif match := re.match(r"\.maxntid (\d+)", text):
        kernel.most_threads = int(match[1])
    elif not text.startswith((".entry", ".visible .entry", ".extern .shared", ".pragma", ".minnctapersm")):
        raise ValueError(f"{kernel.name}: not known: {text}")


class Kernels(dict):
    """Of a text, by name; read as they are asked for."""

    def __init__(self, ptx):
        first, *texts = re.split(r"(?m)^(?=(?:\.visible )?\.entry )", ptx)
        line, self.texts = first.count("\n") + 1, {}  # name -> its first line, its text
        for name, text in zip(plain_names(re.findall(r"\.entry (\w+)", ptx)), texts):
            self.texts[name] = line, text
            line += text.count("\n")
        self.dynamic = re.findall(r"\.extern \.shared \.align \d+ \.b8 (\w+)\[\]", ptx)

    def __missing__(self, name):
        self[name] = kernel = kernel_of(name, *self.texts[name], self.dynamic)
        return kernel


def statements(line):
    text = " ".join(line.partition("//")[0].split())
    if text.endswith(";}"):  # inline assembly stands in braces of its own
        text = text.rstrip("} ")
    parts = (part.strip() for part in re.sub(r"^{(?!%)", "", text).split(";"))
    return [part for part in parts if part not in ("", "{", "}", "(", ")")]


def kernel_of(name, first, text, dynamic=()):
    """first: number of the text's first line. dynamic: names of dynamic shared memory."""
    kernel = Kernel(name)
    for line, text in enumerate(text.splitlines(), first):
        for part in statements(text):
            if part.startswith("."):
                declare(kernel, part)
            elif part.endswith(":"):
                kernel.labels[part[:-1]] = len(kernel.code)
            else:
                kernel.code.append(instruction(line, part))
    kernel.shared_bytes = up_to(kernel.shared_bytes, 16)
    kernel.shared.update(dict.fromkeys(dynamic, kernel.shared_bytes))  # behind what is static
    return kernel
