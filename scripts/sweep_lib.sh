# shellcheck shell=bash
# Sourced by sweep_engines_test and sweep_workers_test, after lib.sh: a tiny sweep, who is at its
# runs, and whether their records hold.

plumb=$(realpath "${PLUMB:-build/release/plumb}")
[ -x "$plumb" ] || fail 2 "$plumb is missing: scripts/test builds it, or set PLUMB to the program"
export PLUMB=$plumb OMP_WAIT_POLICY=passive

# Small steps and many checkpoints, so that a good part of the kills falls into the writing of one.
write_sweep() { # FILE SEEDS STEPS
    cat >"${1%/*}/base.toml" <<EOF
data.task = "markov"
model.layers = 2
model.width = 32
model.heads = 2
model.context = 32
train.batch = 4
train.steps = $3
train.warmup = 10
train.eval_sequences = 4
train.eval_every = 50
train.log_every = 1
train.checkpoint_every = 10
record.probe_every = 25
record.tensorboard = false
EOF
    cat >"$1" <<EOF
# Do its runs come through kills and changes of the engine?
[sweep]
base = "base.toml"
seeds = "1..$2"
baseline = "standard"
out = "${1%/*}/runs"
[[variant]]
name = "standard"
[[variant]]
name = "block"
mixer.name = "attnres_block"
[grid]
train.lr = [1e-3, 3e-3]
EOF
}

# Processes that hold a run of this sweep now, by what their locks say.
workers_of() { # SWEEP_FOLDER
    local pid
    for pid in $(grep -ho '^{[^{}]*"pid":[0-9]*' "$1"/*/.lock 2>/dev/null | sed 's/.*://'); do
        if grep -qsF -- "$1/" "/proc/$pid/cmdline"; then echo "$pid"; fi
    done
}
# Until none is left: a process that has just been killed may have started one more.
end_workers_of() { # SWEEP_FOLDER
    local pid pids
    while pids=$(workers_of "$1") && [ -n "$pids" ]; do
        for pid in $pids; do kill -9 "$pid" 2>/dev/null || true; done
        sleep 0.3
    done
}
lock_of() { # PID SWEEP_FOLDER: the file that says this process is at its run; nothing if none does
    grep -lF "\"pid\":$1,\"" "$2"/*/.lock | head -n 1 || true
}
parent_of() { awk '/^PPid:/ {print $2}' "/proc/$1/status" 2>/dev/null; } # PID

# Every step once in metrics.jsonl; attempts numbered without a gap, none missing and no two at one
# time, the last one done. Prints how many attempts there were, and how many of them were killed.
check_records() { # SWEEP_FOLDER
    python3 - "$1" <<'EOF'
import json, pathlib, sys

def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]

attempts = killed = 0
for run in sorted(p.parent for p in pathlib.Path(sys.argv[1]).glob("*/summary.json")):
    steps = [line["step"] for line in lines(run / "metrics.jsonl") if "train/loss" in line]
    turns = lines(run / "attempts.jsonl")
    total = json.loads((run / "summary.json").read_text())["steps"]
    problems = []
    if steps != sorted(set(steps)) or len(steps) < total:
        problems.append(f"{len(steps)} lines for {len(set(steps))} of {total} steps")
    if [t["attempt"] for t in turns] != list(range(1, len(turns) + 1)):
        problems.append(f"attempts {[t['attempt'] for t in turns]}")
    if turns[-1]["exit"] != 0 or any(t["exit"] == 0 for t in turns[:-1]):
        problems.append(f"exits {[t['exit'] for t in turns]}")
    for before, after in zip(turns, turns[1:]):
        if (before["end"] or before["start"]) > after["start"]:
            problems.append(f"attempts {before['attempt']} and {after['attempt']} overlap")
        if after["from_step"] > before["to_step"]:
            problems.append(f"attempt {after['attempt']} begins behind the end of the one before")
    if problems:
        print(*turns, sep="\n", file=sys.stderr)
        sys.exit(f"{run.name}: {'; '.join(problems)}")
    attempts += len(turns)
    killed += sum(t["exit"] is None for t in turns)
print(f"attempts: {attempts}", f"killed: {killed}", sep="\n")
EOF
}
