"""The table of run as CSV, JSON and Markdown, and what machine it ran on. Standard library only."""

import csv
import json
import os
import platform
import subprocess

COLUMNS = ["shape", "mixer", "precision", "contender", "form", "tokens_per_s", "step_ms",
           "step_ms_q1", "step_ms_q3", "n_steps", "drift", "ready_s", "peak_mb", "loss",
           "note"]  # fmt: skip
TITLES = {"plumb": "Plumb", "eager": "PyTorch eager", "compile": "torch.compile", "jax": "JAX jit"}


def machine(o):
    def first(path, key):
        with open(path) as lines:
            return next((x.split(":", 1)[1].strip() for x in lines if x.startswith(key)), "unknown")

    try:
        version = subprocess.run([str(o.plumb), "--version"], capture_output=True, text=True)
        plumb = version.stdout.split()[-1]  # "plumb 0.1.0"
    except (OSError, IndexError):
        plumb = "not found"
    flags = first("/proc/cpuinfo", "flags").split()
    return {
        "cpu": first("/proc/cpuinfo", "model name"),
        "cores": os.cpu_count(),
        "threads": o.threads,
        "simd": [x for x in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if x in flags],
        "memory": first("/proc/meminfo", "MemTotal"),
        "load_average_at_start": os.getloadavg()[0],
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {"plumb": plumb, "python": platform.python_version()},
        "rounds": o.rounds,
        "steps": o.steps,
        "limit_s": o.limit,
    }


VARIES = ["load_average_at_start", "versions", "memory", "limit_s"]


def earlier(folder, machine):
    """{"machine", "rows"} that write() left in `folder`, where it was on this machine and with these
    settings; else without rows."""
    try:
        old = json.loads((folder / "peers.json").read_text())
        same = all(old["machine"][k] == machine[k] for k in machine if k not in VARIES)
        if same and old["machine"]["versions"].items() >= machine["versions"].items():
            return old
    except (AttributeError, OSError, ValueError, KeyError, TypeError):
        pass  # there are none, or not in this form
    return {"machine": machine, "rows": []}


def with_rows(rows, new):
    """`rows`, with `new` ones in the place of those of the same shape, mixer and precision."""

    def key(row):
        return row["shape"], row["mixer"], row["precision"]

    replaced = {key(row) for row in new}
    return [row for row in rows if key(row) not in replaced] + new


def best_rows(rows):
    """{contender: its fastest row, or one that says what went wrong}."""
    best = {}
    for row in rows:
        old = best.get(row["contender"])
        if old is None or row.get("tokens_per_s", 0) > old.get("tokens_per_s", 0):
            best[row["contender"]] = row
    return best


def cell(row):
    if row is None:
        return ""
    if "tokens_per_s" not in row:
        return "timed out" if row["note"].startswith("timed out") else "failed"
    return f"{row['tokens_per_s']:,.0f}"


def table(rows):
    """Markdown of the rows of one shape and precision."""
    names = [name for name in TITLES if any(r["contender"] == name for r in rows)]
    lines = ["| mixer | " + " | ".join(TITLES[n] for n in names) + " | Plumb / fastest peer |",
             "|---|" + "---:|" * (len(names) + 1)]  # fmt: skip
    for mixer in dict.fromkeys(r["mixer"] for r in rows):
        best = best_rows([r for r in rows if r["mixer"] == mixer])
        peers = [r["tokens_per_s"] for n, r in best.items() if n != "plumb" and "tokens_per_s" in r]
        own = best.get("plumb", {}).get("tokens_per_s")
        ratio = f"{own / max(peers):.2f}" if own and peers else ""
        cells = [cell(best.get(name)) for name in names]
        lines.append(f"| {mixer} | " + " | ".join(cells) + f" | {ratio} |")
    return "\n".join(lines)


def markdown(result):
    m, rows = result["machine"], result["rows"]
    versions = ", ".join(f"{name} {version}" for name, version in m["versions"].items())
    parts = [f"{m['cpu']}, {m['cores']} cores, {m['threads']} threads, {' '.join(m['simd'])}, "
             f"{m['memory']}, {m['system']}. {versions}.",
             f"Tokens/s of whole training steps, medians of {m['rounds']} x {m['steps']} steps in "
             "turns; Plumb: mean of before and after."]  # fmt: skip
    for shape, precision in dict.fromkeys((r["shape"], r["precision"]) for r in rows):
        own = [r for r in rows if (r["shape"], r["precision"]) == (shape, precision)]
        parts += [f"### Shape {shape}, {precision}", table(own)]
    drifts = [abs(r["drift"]) for r in rows if "drift" in r]
    if drifts:
        parts.append(f"Largest drift of Plumb between before and after: {100 * max(drifts):.1f} %.")
    notes = [f"- {r['shape']} {r['precision']} {r['mixer']}, {TITLES[r['contender']]}: {r['note']}"
             for r in rows if "note" in r]  # fmt: skip
    return "\n\n".join(parts + (["\n".join(notes)] if notes else [])) + "\n"


def write(folder, result):
    """peers.csv, peers.json, peers.md in `folder`, made if absent."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "peers.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(result["rows"])
    (folder / "peers.json").write_text(json.dumps(result, indent=1) + "\n")
    (folder / "peers.md").write_text(markdown(result))
