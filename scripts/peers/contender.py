"""One contender in its own process. Reads numbers of steps on standard input, one a line, and
answers each with a line of JSON: {"seconds": [...], "cpu_seconds": of all, "loss": last,
"peak_mb": ...}. Before that, after two warm-up steps (compilation), it says {"ready_s": ...,
"versions": {...}}.
usage: contender.py FRAMEWORK MODE MIXER SHAPE PRECISION FORM THREADS"""

import importlib
import json
import math
import os
import resource
import sys
import time

import spec

N_BATCHES = 8


def main():
    framework, mode, mixer, shape, precision, form, threads = sys.argv[1:]
    start = time.perf_counter()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(threads)])
    answers, sys.stdout = sys.stdout, sys.stderr  # libraries may print
    framework = importlib.import_module(framework + "_peer")
    cfg = spec.config_of(mixer, shape)
    peer = framework.Peer(cfg, mode, precision, form, int(threads))
    batches, done = spec.batches(cfg, N_BATCHES), 0

    def run(n):
        nonlocal done
        seconds, cpu = [], time.process_time()
        for _ in range(n):
            begin = time.perf_counter()
            loss = peer.step(batches[done % N_BATCHES])
            seconds.append(time.perf_counter() - begin)
            if not math.isfinite(loss):
                sys.exit(f"the loss of step {done} is {loss}")
            done += 1
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        cpu = time.process_time() - cpu
        return {"seconds": seconds, "cpu_seconds": cpu, "loss": loss, "peak_mb": peak}

    run(2)
    ready = {"ready_s": time.perf_counter() - start, "versions": framework.versions()}
    print(json.dumps(ready), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(run(int(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
