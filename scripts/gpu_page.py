#!/usr/bin/env python3
"""Page of results/gpu/DEVICE from the gpu_check.json that scripts/gpu_check left there.

example:
  scripts/gpu_page.py results/gpu/NVIDIA_H100_80GB_HBM3
"""

import json
import sys
from pathlib import Path


def aim_of(timing, copy):
    """What was aimed at, as text, and whether it was missed; None where nothing was."""
    if timing["aim_seconds"]:
        return f"<= {timing['aim_seconds'] * 1e6:.0f} us", timing["seconds"] > timing["aim_seconds"]
    if timing["aim_bytes_per_second"]:
        aim = timing["aim_bytes_per_second"]
        text = f">= {aim * 1e-12:.2f} TB/s ({100 * aim / copy:.0f} % of copy)"
        return text, timing["bytes"] / timing["seconds"] < aim
    return None


def row(timing, copy):
    cells = [timing["name"], f"{timing['seconds'] * 1e6:.2f}"]
    rate = timing["bytes"] / timing["seconds"]
    cells += [f"{timing['bytes'] * 1e-6:.1f}", f"{timing['bytes'] / copy * 1e6:.2f}"]
    cells += [f"{rate * 1e-12:.2f}", f"{100 * rate / copy:.0f}"]
    aim = aim_of(timing, copy)
    cells.append("" if aim is None else f"**missed** {aim[0]}" if aim[1] else f"reached {aim[0]}")
    return "| " + " | ".join(cells) + " |"


HEAD = """| kernel | us | MB counted | floor us | TB/s | % of copy | aim |
|---|---:|---:|---:|---:|---:|---|"""


def page(report):
    copy, timings = report["copy_bytes_per_second"], report["timings"]
    missed = [t for t in timings if (aim := aim_of(t, copy)) and aim[1]]
    others = [t for t in timings if t not in missed]
    failed = [c for c in report["checks"] if not c["ok"]]
    lines = [f"# {report['device']}", ""]
    lines += [
        "Kernels alone. Training beside the CPU is in training.json, whole steps in bench/, "
        "bench_without_graph/ and bench_without_side_stream/, where they are here. Written by "
        "`scripts/gpu_check`.",
        "",
        f"{len(report['checks'])} checks against the rules in double on the host, "
        + (f"**{len(failed)} wrong**:" if failed else "all right, the same bits twice."),
        "",
    ]
    lines += [f"- {c['name']}: error {c['error']}, bound {c['bound']}" for c in failed]
    lines += ["## Missed", "", HEAD, *(row(t, copy) for t in missed)] if missed else ["No miss."]
    lines += ["", "## All others", "", HEAD, *(row(t, copy) for t in others), ""]
    lines += [
        "Floor: the bytes counted over the rate of a copy on this device, "
        f"{copy * 1e-12:.2f} TB/s, read and written bytes counted. Time: median over replays of a graph of launches, over "
        "buffers larger than the second-level cache; bf16 where nothing else is said.",
        "",
    ]
    return "\n".join(lines)


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    folder = Path(sys.argv[1])
    report = json.loads((folder / "gpu_check.json").read_text())
    (folder / "README.md").write_text(page(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
