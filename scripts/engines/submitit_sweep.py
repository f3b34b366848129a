"""A sweep on submitit:  SWEEP=blocks.toml python3 scripts/engines/submitit_sweep.py

On Slurm if it is here, else (or with CLUSTER=local) as processes of this machine. Logs are in
submitit/. A job whose time is over writes its checkpoint and goes back to the queue. pip install
submitit.
"""

import os
import subprocess

import submitit
from rounds import in_rounds


class Run:
    def __call__(self, words):
        self.process = subprocess.Popen(words)
        return self.process.wait()

    def checkpoint(self, words):
        self.process.terminate()
        os.waitpid(self.process.pid, 0)  # its wait() is under way already, in __call__
        return submitit.helpers.DelayedSubmission(Run(), words)


def run_all(commands):
    executor = submitit.AutoExecutor("submitit", cluster=os.environ.get("CLUSTER"))
    executor.update_parameters(timeout_min=60, slurm_array_parallelism=64, slurm_mem="1GB")
    at_once = os.cpu_count() if executor.cluster == "local" else len(commands)
    for i in range(0, len(commands), at_once):
        for job in executor.map_array(Run(), commands[i : i + at_once]):
            job.wait()


if __name__ == "__main__":
    in_rounds(run_all)
