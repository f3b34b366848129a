"""What stands behind the numbers: runs that failed, settings, commands, environment, hashes; and
the same as REPRODUCE.md.
"""

import re
import shlex
from pathlib import Path

from ..reading.files import InputError, Skip, printable, read_json
from ..reading.groups import SEEDS, trains
from .answer import sentence
from .charts import swatch
from .markup import cell, details, esc, esc_lines, row_head, table

WORDS = {"diverged": "diverged", "culled": "stopped early", "orphan": "not in the sweep file now"}


def failures(m):
    """Every run that no statistic takes, with its last lines."""
    diverged = [(r, r.why) for r in m.runs if r.status == "diverged"]
    every = diverged + list(m.runs.left_out)
    if not every:
        raise Skip("every run finished")
    absent = sum(not run.path.is_dir() for run, _ in every)
    every = [(run, why) for run, why in every if run.path.is_dir()]
    rows = []
    for run, why in every[:MOST_FAILURES]:
        tail = "\n".join(run.log_tail(3))
        last = f"<pre>{esc_lines(tail)}</pre>" if tail.strip() else "–"
        rows.append(
            [
                row_head(run.path.name),
                cell(esc(run.variant)),
                cell(str(run.seed), run.seed, True, "num"),
                cell(esc(WORDS.get(run.status, run.status))),
                cell(esc(why), kind="words"),
                cell(last),
            ]
        )
    head = ("run", "variant", "seed", "state", "why", "last lines")
    caption = "Diverged runs are counted, never averaged; the others are in no number of this page."
    if absent:
        caption += f" {absent} more have not started."
    if len(every) > MOST_FAILURES:
        caption += f" {MOST_FAILURES} of {len(every)}; plumb compare --json names all."
    if not rows:
        return f'<p class="note">{absent} runs have not started.</p>'
    return table("failures-table", caption, head, rows, (), (2,))


def toml(value):
    """A setting as config.toml has it, texts without quotes."""
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def told(run, key):
    """Whether a setting says what was trained; seeds, labels and how often is logged do not."""
    return not SEEDS.fullmatch(key) and (key == "data.path" or trains(run, key))


def settings_of(m):
    """{label: {key: value text}} of each row, the seeds apart; of rows that differ in the point of
    the grid alone the first.
    """
    found, seen = {}, set()
    for row in m.rows:
        if row.runs:
            run, keys = row.runs[0], () if len(m.families) == 1 else row.point
            of = {k: toml(v) for k, v in run.config.items() if told(run, k) and k not in keys}
            if (m.names[row.label], str(of)) not in seen:
                found[row.label] = of
            seen.add((m.names[row.label], str(of)))
    return found


MOST_LINES = 16  # of commands on the page
MOST_FAILURES = 60


def settings(m):
    found = settings_of(m)
    keys = sorted({k for s in found.values() for k in s})
    if not keys:
        raise Skip("no run has a config.toml")
    unlike = [k for k in keys if len({s.get(k, "–") for s in found.values()}) > 1]
    alike = [k for k in keys if k not in unlike]
    first = next(iter(found.values()))
    rows = [
        [
            row_head(m.names[label], swatch(m.css[label])),
            cell(" · ".join(f"{esc(k)}&nbsp;= <b>{esc(s[k])}</b>" for k in unlike if k in s)),
        ]
        for label, s in found.items()
    ]
    caption = "In what the variants differ; of the first run of each."
    if m.many:
        caption += " Beside these the settings of the grid, which the tables above name."
    o = table("settings-table", caption, ("variant", "settings"), rows) if unlike else ""
    body = "\n".join(f"{k} = {first[k]}" for k in alike)
    return o + details(
        f"The {len(alike)} settings that all share",
        f'<pre class="columns">{esc_lines(body)}</pre>',
        True,
    )


def distinct(m, read):
    """What the runs say, each once, in order; "" left out."""
    return [v for v in dict.fromkeys(read(r) for r in m.runs.all) if v]


def part(run, *keys):
    """A text somewhere in a manifest, "" without."""
    found = run.manifest
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def commit_text(run):
    commit = part(run, "git", "commit")
    return (
        f"{commit}{' (with changes not committed)' if part(run, 'git', 'dirty') else ''}"
        if commit
        else ""
    )


def build_text(run):
    words = [part(run, "build", k) for k in ("compiler", "gemm", "flags")]
    return ", ".join(str(w) for w in words if w)


def machine_text(run):
    cpu, threads = part(run, "machine", "cpu"), part(run, "run", "threads")
    words = [part(run, "machine", "host"), cpu, f"{threads} threads" if threads else "", run.device]
    return ", ".join(str(w) for w in words if w)


FACTS = (
    ("commit", commit_text),
    ("build", build_text),
    ("machine", machine_text),
    ("precision", lambda r: str(part(r, "run", "precision") or "")),
    ("data", lambda r: str(part(r, "data", "description") or "")),
    ("data fingerprint", lambda r: r.data),
    ("numerics", lambda r: str(r.numerics or "")),
)


def environment(m):
    """[(name, [texts])] of what the runs were made by."""
    return [(name, found) for name, read in FACTS if (found := distinct(m, read))]


def command_of(run):
    words = part(run, "command_line")
    return shlex.join(map(str, words)) if isinstance(words, list) and words else ""


def commit_of(m):
    """The commit that made the runs, None if there are several or none."""
    commits = {part(r, "git", "commit") for r in m.runs.all} - {None}
    return commits.pop() if len(commits) == 1 else None


def is_dirty(m):
    return any(part(r, "git", "dirty") for r in m.runs.all)


def data_paths(m):
    return [v for v in dict.fromkeys(str(r.config.get("data.path", "")) for r in m.runs.all) if v]


SWEEP = "sweep"  # folder of a report that has the sweep's own files


def sweep_commands(m, out):
    """From the copies beside the page, into a folder of their own."""
    file = shlex.quote(f"{out}/{SWEEP}/sweep.toml")
    folder = shlex.quote(f"runs/{m.runs.sweep.path.resolve().name}-again")
    return [
        f"plumb sweep plan {file} --out {folder}",
        f"plumb sweep run {file} -j 2 --out {folder}",
        f"plumb compare {folder}",
        f"plumb report {folder} -o {shlex.quote(out + '-again')}",
    ]


CORPORA = ("austen", "kjv")  # of plumb data prepare
FOREIGN = "token files"  # name of a folder that another program made


def described(m):
    """{path: (name, description)} of the data that the runs' manifests describe."""
    texts = [str(part(r, "data", "description") or "") for r in m.runs.all]
    found = [re.match(r"(.+?) \(([^()]*)\), ", text) for text in texts]
    return {f[1]: (f[2], f.string) for f in found if f}


def data_commands(m):
    """What makes the data: a command where the runs' description names a corpus that plumb can
    prepare, else a comment that says what to type.
    """
    told, lines = described(m), []
    for path in dict.fromkeys([*told, *data_paths(m)]):
        name = told.get(path, ("", ""))[0]
        if name in CORPORA:
            kind = tokenizer(m, path)
            option = "" if kind == "byte" else f"--tokenizer {kind} "
            lines.append(f"plumb data prepare {name} {option}--out {shlex.quote(path)}")
        elif name == FOREIGN:
            lines.append(f"# first put the token files of {path} there again")
        else:
            lines.append(f"# first, with your own text for FILE: {own_command(m, path)}")
    return lines


def data_meta(path):
    """meta.json of a folder of tokens, {} where it is not here or cannot be read."""
    try:
        return read_json(Path(path) / "meta.json")
    except InputError:
        return {}


def tokenizer(m, path):
    """As it is typed. A run keeps the vocabulary of bpe, whether it was learnt or given."""
    found = re.search(r", (\w+) tokens, vocabulary ", described(m).get(path, ("", ""))[1])
    kind = data_meta(path).get("tokenizer") or (found[1] if found else "byte")
    if kind != "bpe":
        return kind
    run = next((r for r in m.runs.all if str(r.config.get("data.path", "")) == path), None)
    return "gpt2:" + (shlex.quote(str(Path(run.path) / "data")) if run else "DIR")


def own_command(m, path):
    option = f"--tokenizer {tokenizer(m, path)}"
    return f"plumb data prepare FILE... {option} --out {shlex.quote(path)}"


def data_words(m, path):
    """What REPRODUCE.md says of one folder of tokens."""
    name, text = described(m).get(path, ("", ""))
    if name in (*CORPORA, FOREIGN):
        return f"Data: `{path}`, as the runs name it; its fingerprint is below."
    meta = data_meta(path)
    sha = meta.get("sha256")
    sha = sha.get("text") if isinstance(sha, dict) else None
    splits = {k: meta.get(f"{k}_tokens") for k in ("train", "val", "test")}
    splits = ", ".join(f"{n:,} {k}" for k, n in splits.items() if isinstance(n, int))
    what = text or ", ".join(filter(None, (path, meta.get("name"), splits)))
    return (
        f"Data: {what}. It was made from files that the runs do not name. Before the first run "
        f"type `{own_command(m, path)}`, with the same files and shares for validation and test"
        + (f"; it must print data.sha256: {sha}" if sha else "")
        + ". The numbers can come out alike only where the data fingerprint in manifest.json of a "
        "new run is the one below."
    )


def run_commands(m, out):
    trained = [c for c in (command_of(r) for r in m.runs.all) if c]
    folder = shlex.quote(m.source)
    return [*trained, f"plumb compare {folder}", f"plumb report {folder} -o {shlex.quote(out)}"]


def commands(m, out):
    """From a clone to this page, as lines of a shell."""
    commit = commit_of(m)
    start = [f"git checkout {commit}"] if commit else []
    start += ["scripts/setup", "cmake --preset release && cmake --build --preset release"]
    start += ["export PATH=$PWD/build/release:$PATH", *data_commands(m)]
    return start + (sweep_commands(m, out) if m.runs.sweep else run_commands(m, out))


def repeat(m, out):
    lines = [printable(line) for line in commands(m, out)]
    if len(lines) > MOST_LINES:
        hidden = len(lines) - MOST_LINES
        lines[MOST_LINES // 2 : -MOST_LINES // 2] = [
            f"# ... {hidden} lines, all in REPRODUCE.md ..."
        ]
    o = [f"<pre>{esc_lines(chr(10).join(lines))}</pre>"]
    if is_dirty(m):
        o.append(
            '<p class="warn" role="note">The working tree had changes that are not committed when '
            "runs of this page were made: the commit alone does not give them back.</p>"
        )
    rows = [
        [row_head(name), cell("<br>".join(esc(v) for v in values))]
        for name, values in environment(m)
    ]
    if rows:
        o.append(
            details(
                "Environment and hashes", table("environment", "", ("what", "value"), rows), True
            )
        )
    if m.runs.sweep:
        o.append(details("sweep.toml", f"<pre>{esc_lines(sweep_text(m))}</pre>"))
        o.append(details("The command of each run", run_list(m)))
    return "".join(o)


def run_list(m):
    lines = [c for c in (command_of(r) for r in m.runs.all) if c]
    more = [f"# ... and {len(lines) - MOST_FAILURES} more"] if len(lines) > MOST_FAILURES else []
    return f"<pre>{esc_lines(chr(10).join(lines[:MOST_FAILURES] + more))}</pre>"


def in_code(lines):
    """An indented block of Markdown: no text inside can end it."""
    return "".join(f"    {printable(line)}\n" for line in lines)


def reproduce(m, out):
    """REPRODUCE.md."""
    o = [f"# How to repeat: {printable(m.title)}\n\n{printable(sentence(m))}\n"]
    o.append("\nFrom a clone of Plumb to the table:\n\n" + in_code(commands(m, out)))
    if m.runs.sweep:
        o.append(f"\nThe sweep file, {SWEEP}/sweep.toml:\n\n" + in_code(sweep_text(m).splitlines()))
    for path in data_paths(m):
        o.append(f"\n{printable(data_words(m, path))}\n")
    if is_dirty(m):
        o.append(
            "\n**The working tree had changes that are not committed** when runs were made: the "
            "commit alone does not give them back.\n"
        )
    o.append("\nMade by:\n\n")
    for name, values in environment(m):
        o.append(in_code([f"{name}: {v}" for v in values]))
    o.append("\nThe table:\n\n" + in_code(m.comparison.text(100).splitlines()))
    return "".join(o)


def sweep_text(m):
    path = m.runs.sweep.path / "sweep.toml"
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
