"""config.toml of a run as {dotted key: value}."""

import re
import tomllib
from functools import cache

from .files import bad, read_text, read_toml


def flat(table, prefix=""):
    """Nested tables -> {dotted key: value}."""
    found = {}
    for key, value in table.items():
        if isinstance(value, dict):
            found.update(flat(value, f"{prefix}{key}."))
        else:
            found[prefix + key] = value
    return found


@cache
def lines_setting(section, line):
    """((dotted key, value),) of one line of a TOML file that means something by itself, () of a
    blank one; None of one that does not, and of a heading of any but the plainest form.
    """
    if line.lstrip().startswith("["):
        return None
    try:
        found = flat(tomllib.loads(line), f"{section}." if section else "")
    except (ValueError, RecursionError):
        return None
    return tuple(found.items())


def parse_settings(text):
    """{dotted key: value} of TOML text. Most lines of thousands of runs are the same ones: each is
    parsed once. None where lines do not stand alone, or a key or table comes twice.
    """
    found, section, sections = {}, "", set()
    for line in text.split("\n"):
        heading = re.fullmatch(r"\[([\w-]+)\]", line)
        if heading:
            section = heading[1]
            if section in sections:
                return None
            sections.add(section)
            continue
        pairs = lines_setting(section, line)
        if pairs is None or any(k in found for k, _ in pairs):
            return None
        found.update(pairs)
    return found


def read_config(path):
    """config.toml by dotted keys, the few that are used here checked; {} when there is none."""
    if not path.exists():
        return {}
    found = parse_settings(read_text(path))
    if found is None:
        found = flat(read_toml(path))
    if not isinstance(found.get("mixer.name", ""), str):
        raise bad(path, "has a mixer.name that is not a text")
    seed = found.get("train.seed", 1)
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise bad(path, "has a train.seed that is not a whole number")
    return found
