"""A sweep on Ray:  SWEEP=blocks.toml python3 scripts/engines/ray_sweep.py

On this machine, or on the cluster that RAY_ADDRESS names. pip install ray.
"""

import subprocess

import ray
from rounds import in_rounds

if __name__ == "__main__":
    ray.init(include_dashboard=False)
    run = ray.remote(num_cpus=1)(subprocess.call)
    in_rounds(lambda commands: ray.get([run.remote(words) for words in commands]))
