"""A sweep on Dask:  SWEEP=blocks.toml python3 scripts/engines/dask_sweep.py

On this machine, or on the cluster that DASK_SCHEDULER_ADDRESS names. pip install distributed.
"""

import subprocess

from dask.distributed import Client
from rounds import in_rounds


def main():
    with Client(threads_per_worker=1) as client:
        in_rounds(lambda commands: client.gather(client.map(subprocess.call, commands, pure=False)))


if __name__ == "__main__":
    main()
