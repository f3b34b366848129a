#!/usr/bin/python3
"""Page and figures of results/speed from what `plumb bench --out` wrote.

Reads every bench.json one folder below DIR and writes DIR/README.md, the figures (SVG, PNG)
and one CSV of all rows. DIR/notes.md, where it is, becomes a part of the page.

example:
  scripts/speed_page.py results/speed
"""

import argparse
import json
import math
import sys
from itertools import groupby
from pathlib import Path

KINDS = ("compare", "depth", "context", "generate", "ops", "bandwidth")


def read(folder):
    """{kind: list} over all bench.json, and {machine and build: {commit and day: [folder]}}."""
    merged, made = {kind: [] for kind in KINDS}, {}
    for path in sorted(folder.glob("*/bench.json")):
        report = json.loads(path.read_text())
        for kind in KINDS:
            merged[kind] += report.get(kind, [])
        dirty = " with local changes" if report["git"]["dirty"] else ""
        commit = f"{report['git']['commit'][:12]}{dirty}, {report['date'][:10]}"
        commits = made.setdefault(machine(report), {})
        commits.setdefault(commit, []).append(path.parent.name)
    return merged, made


# ---- tables --------------------------------------------------------------------------------------


def table(titles, rows):
    """Markdown; a title with ">" in front is aligned to the right."""
    rule = ["---:" if t.startswith(">") else "---" for t in titles]
    lines = [[t.lstrip(">") for t in titles], rule, *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def number(x, digits=1):
    return "-" if x is None or math.isnan(x) else f"{x:.{digits}f}"


def machine(report):
    m, b = report["machine"], report["build"]
    return (
        f"{m['cpu']} ({' '.join(m['isa'])}), {m['threads']} of {m['logical_cpus']} threads; "
        f"{b['gemm']}, {b['compiler']}, `{b['flags'].strip()}`"
    )


def machine_lines(made):
    for on, commits in made.items():
        yield f"- {on}: " + "; ".join(f"{', '.join(of)} ({c})" for c, of in commits.items()) + "."


def verdict(value, aim, at_most=True):
    if math.isnan(aim):
        return "-"
    met = value <= aim if at_most else value >= aim
    return f"{aim:g} {'met' if met else 'missed'}"


def compare_table(shape):
    from plumb.figures import speed

    rows = []
    for m in shape["mixers"]:
        o = {k: 100 * v for k, v in m["overhead"].items()}
        rows.append(
            [
                m["label"],
                number(1e3 * m["step_s"]["median"]),
                f"{o['median']:+.1f} [{o['q1']:+.1f}, {o['q3']:+.1f}]",
                verdict(o["median"], speed.target(m["label"], shape)),
                f"{m['tokens_per_s']:,.0f}",
                number(100 * m["gemm_share"]),
                number(1e-6 * m["planned_bytes"]),
                number(1e-6 * m["peak_bytes"] if m["peak_bytes"] else None),
                number(m["moved_forward_d"]),
                number(m["paper_forward_d"]),
                number(m["moved_step_d"]),
            ]
        )
    titles = ["mixer", ">ms/step", ">over, % [quartiles]", ">target", ">tokens/s", ">of GEMM, %"]
    titles += [">plan, MB", ">peak, MB", ">moved fwd, d", ">paper, d", ">moved step, d"]
    return table(titles, rows)


def op_table(ops, most=6):
    """The ops farthest above their bound, of those that have one."""
    rows = []
    bounded = [m for m in ops if m["floor_s"]]
    for m in sorted(bounded, key=lambda m: -m["times_floor"])[:most]:
        gflops = 1e-9 * m["flops"] / m["seconds"] if m["flops"] else None
        gbytes = 1e-9 * m["bytes"] / m["seconds"] if m["bytes"] else None
        rows.append(
            [m["op"], m["shape"], m["precision"], number(1e6 * m["seconds"]), number(gflops, 0)]
            + [number(gbytes, 0), number(1e6 * m["floor_s"])]
            + [m["bound"], number(m["times_floor"], 2)]
        )
    titles = ["op", "shape", "precision", ">us", ">GFLOP/s", ">GB/s", ">floor, us", "bound by"]
    return table(titles + [">times floor"], rows)


def generate_table(shapes):
    from plumb.figures import speed

    rows = []
    for s in shapes:
        for m in s["mixers"]:
            o = {k: 100 * v for k, v in m["overhead"].items()}
            rows.append(
                [s["shape"]["name"], s["shape"]["batch"], m["label"]]
                + [number(1e3 * m["token_s"]["median"], 3)]
                + [f"{o['median']:+.1f} [{o['q1']:+.1f}, {o['q3']:+.1f}]"]
                + [verdict(o["median"], speed.TOKEN_TARGETS.get(m["label"], math.nan))]
                + [f"{m['prefill_tokens_per_s']:,.0f}"]
            )
    titles = ["shape", ">batch", "mixer", ">ms/token", ">over, % [quartiles]", ">target"]
    return table(titles + [">prefill, tokens/s"], rows)


# ---- page ----------------------------------------------------------------------------------------

LEGEND = """\
over: step time over the mean of the baseline's before and after it, median of the rounds; the baseline's own row is a second
copy of it and shows the noise. of GEMM: flops of the model without its mixer / step time / rate of that model's matrix products
measured alone in the same round. plan: every byte a step needs; peak: growth of the process's resident set. moved: numbers of
the storage type that the mixer's passes read and wrote per token and sublayer, counted, in multiples d of the width; paper:
Table 1 of arXiv:2603.15031, forward. Split by part, sources of every number: speed.csv.
"""


def by_shape(shapes):
    key = lambda s: (s["shape"]["name"], s["precision"])  # noqa: E731
    return [list(group) for _, group in groupby(sorted(shapes, key=key), key)]


def draw(merged, out):
    """Returns {section: [figure name]}."""
    from plumb.figures import speed, style

    style.use()
    figures = {"compare": [], "depth": [], "context": []}
    if merged["compare"]:
        speed.split(merged["compare"], out)
        figures["compare"].append("split")
        if speed.overhead(merged["compare"], out):
            figures["compare"].append("overhead")
    for kind, axis in (("depth", "layers"), ("context", "context")):
        for group in by_shape(merged[kind]):
            group.sort(key=lambda s: s["shape"][axis])
            name = f"growth_{kind}_{group[0]['precision']}"
            speed.growth(group, axis, out, name)
            figures[kind].append(name)
    return figures


def page(merged, made, figures, folder):
    from plumb.figures import speed

    text = ["# CPU speed", "", *machine_lines(made), ""]
    text += ["All of it is of `plumb bench`, as `scripts/bench` calls it unless notes say otherwise."]
    if (folder / "notes.md").exists():
        text += [(folder / "notes.md").read_text().strip(), ""]
    show = lambda kind: ["\n".join(f"![{n}]({n}.png)" for n in figures[kind]), ""]  # noqa: E731
    if merged["compare"]:
        text += ["## A training step", "", LEGEND, *show("compare")]
    for s in merged["compare"]:
        rate = f"matrix products alone {1e-9 * s['gemm_flops_per_s']:.0f} GFLOP/s"
        share = 100 * s["mixers"][0]["gemm_share"]
        aim = verdict(share, speed.share_target(s), at_most=False)
        text += [f"### {speed.named(s)}, {s['rounds']} rounds of {s['steps']} steps"]
        text += [f"{rate}; {s['mixers'][0]['label']} reaches {share:.0f} % (target {aim}).", ""]
        text += [compare_table(s)]
    for kind in ("depth", "context"):
        if merged[kind]:
            text += [f"## Cost against {kind}", "", f"Numbers: {kind}/bench.csv.", "", *show(kind)]
    if merged["generate"]:
        first = merged["generate"][0]
        text += ["## Generating", "", f"The last {first['steps']} tokens before T, float, rounds "]
        text[-1] += f"as above ({first['rounds']})."
        text += ["", generate_table(merged["generate"])]
    if merged["ops"]:
        rates = ", ".join(
            f"{b['bytes'] / 2**20:.3g} MiB: {1e-9 * b['bytes_per_s']:.0f} GB/s"
            for b in merged["bandwidth"]
        )
        text += ["## Every op alone", "", f"Memory bandwidth by working set: {rates}."]
        text += ["The ops farthest above their bound; all of them: ops/ops.csv.", ""]
        text += [op_table(merged["ops"])]
    return "\n".join(text).rstrip() + "\n"


def all_rows(folder, out):
    """The bench.csv of every folder below as one file."""
    lines = []
    for path in sorted(folder.glob("*/bench.csv")):
        own = path.read_text().splitlines()
        lines += own if not lines else own[1:]
    if lines:
        out.write_text("\n".join(lines) + "\n")


def main(argv=None):
    parser = argparse.ArgumentParser(
        prog="speed_page.py", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, metavar="DIR")
    folder = parser.parse_args(argv).folder
    merged, made = read(folder)
    if not made:
        print(
            f"speed_page.py: no bench.json one folder below {folder}; make one with: "
            f"plumb bench --out {folder}/compare",
            file=sys.stderr,
        )
        return 4
    figures = draw(merged, folder)
    (folder / "README.md").write_text(page(merged, made, figures, folder))
    all_rows(folder, folder / "speed.csv")
    print(f"wrote: {folder / 'README.md'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
