"""Reading the files of a run folder. Whatever bytes they hold, the result is checked data or an
InputError of one line that names the file.
"""

import json
import math
import os
import struct
import sys
import tomllib

import numpy as np

# Of depth.jsonl; every other field of a log is a number.
TEXT_FIELDS, LIST_FIELDS = ("site", "kind"), ("pgrad_q", "pgrad_hist")


class UsageError(Exception):
    """The command was asked for something it cannot mean (exit 2)."""


class InputError(Exception):
    """A file is missing or not what it should be (exit 4)."""


class Skip(Exception):
    """A figure has no data in these runs; the message says how to record it."""


def printable(text):
    """One line of visible characters: control characters (terminal escapes, line ends, marks of
    writing direction) as backslash escapes.
    """
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(text)
    )


def told(prog, work):
    """The exit code of a command: work()'s own (None: 0), with what went wrong told in one line.
    Usage is 2, files and output 4; a reader that has gone (`head`, say) is no error.
    """
    try:
        return work() or 0
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except UsageError as e:
        code, why = 2, e
    except InputError as e:
        code, why = 4, e
    except OSError as e:
        where = f"{e.filename}: {e.strerror}; choose another folder with -o"
        code, why = 4, f"cannot write {where if e.filename else f'to standard output: {e.strerror}'}"
    print(f"{prog}: {printable(why)}", file=sys.stderr)
    return code


def bad(path, what):
    return InputError(printable(f"{path} {what}"))


def read_bytes(path):
    try:
        return path.read_bytes()
    except OSError as e:
        raise InputError(printable(f"cannot read {path}: {e.strerror}")) from e


def read_text(path):
    try:
        return read_bytes(path).decode("utf-8")
    except UnicodeDecodeError as e:
        raise bad(path, f"is not UTF-8 text (byte {e.start})") from e


RESTORE = "restore it, or move it away to use config.toml"


def read_json(path):
    """The object that a JSON file holds."""
    try:
        found = json.loads(read_text(path))
    except (ValueError, RecursionError) as e:
        raise bad(path, f"is not JSON ({e}); {RESTORE}") from e
    if not isinstance(found, dict):
        raise bad(path, f"is not a JSON object; {RESTORE}")
    return found


def read_toml(path):
    try:
        return tomllib.loads(read_text(path))
    except (ValueError, RecursionError) as e:
        raise bad(path, f"is not TOML: {e}") from e


def as_number(value):
    """JSON number or null -> float, null -> NaN; ValueError for anything else."""
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{json.dumps(value)[:40]} is not a number")
    try:
        return float(value)
    except OverflowError as e:
        raise ValueError("a number beyond 1e308") from e


def finite(value):
    """A JSON number as a float; NaN for anything else and for what no float holds."""
    try:
        x = as_number(value)
    except ValueError:
        return math.nan
    return x if math.isfinite(x) else math.nan


def as_count(value):
    """JSON number -> int in 0..2^53; ValueError for anything else."""
    x = as_number(value)
    if not (math.isfinite(x) and x == math.floor(x) and 0 <= x <= 2**53):
        raise ValueError(f"{value} is not a whole number from 0 to 2^53")
    return int(x)


def checked(record):
    """A record with its numbers as floats (null: NaN), lists and texts where they belong."""
    found = {}
    for name, value in record.items():
        if name in TEXT_FIELDS:
            if not isinstance(value, str):
                raise ValueError(f"{name} is not a text")
            found[name] = value
        elif name in LIST_FIELDS and isinstance(value, list):
            found[name] = [as_number(x) for x in value]
        else:
            found[name] = as_number(value)
    return found


def read_jsonl(path, keys, having=b""):
    """Records by tuple of `keys`, in order, of the lines that have `having` in them. A later record
    of the same key overwrites field by field, which is what a resumed run writes after a rewind. A
    last line cut off by a kill is dropped; a bad line elsewhere raises InputError. An absent file
    has no records.
    """
    lines = read_bytes(path).split(b"\n") if path.exists() else []
    while lines and not lines[-1].strip():
        lines.pop()
    records = {}
    for n, line in enumerate(lines, 1):
        if having not in line or not line.strip():
            continue
        try:
            record = json.loads(line.decode("utf-8"))
            key = tuple(as_count(record[k]) for k in keys)
            record = checked(record)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
            if n == len(lines) and not line.rstrip().endswith(b"}"):
                break
            why = f"lacks {e}" if isinstance(e, KeyError) else e
            raise bad(
                path, f"line {n} is not a record with {', '.join(keys)} ({why}); run again"
            ) from e
        records.setdefault(key, {}).update(record)
    return dict(sorted(records.items()))


def read_tail(path, size=8192):
    """The last bytes of a file."""
    try:
        with path.open("rb") as f:
            f.seek(max(0, f.seek(0, 2) - size))
            return f.read()
    except OSError as e:
        raise InputError(printable(f"cannot read {path}: {e.strerror}")) from e


def last_record(path):
    """The last whole record of a log, its `step` and `depth` as whole numbers; {} without one. Only
    the end of the file is read: records before it may be damaged.
    """
    if not path.exists():
        return {}
    for line in reversed(read_tail(path).split(b"\n")):
        try:
            record = json.loads(line)
            counts = {k: as_count(record[k]) for k in ("step", "depth") if k in record}
            return {**record, **counts}
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
    return {}


def read_safetensors(path):
    """All F32 and F64 tensors of a safetensors file, as {name: array of float64}."""
    blob = read_bytes(path)
    try:
        size = struct.unpack("<Q", blob[:8])[0]
        tensors = {}
        for name, entry in json.loads(blob[8 : 8 + size]).items():
            if name == "__metadata__":
                continue
            begin, end = entry["data_offsets"]
            kind = {"F32": "<f4", "F64": "<f8"}[entry["dtype"]]
            if not 0 <= begin <= end <= len(blob) - 8 - size:
                raise ValueError(f"tensor {name} lies outside the file")
            data = np.frombuffer(blob[8 + size + begin : 8 + size + end], dtype=kind)
            tensors[name] = data.reshape(entry["shape"]).astype(np.float64)
        return tensors
    except (struct.error, ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
        raise bad(
            path, "is not a whole safetensors file; delete it, the matrix before it is used then"
        ) from e
