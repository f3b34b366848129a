"""PTX of kernels.cu, compiled once: kept in the folder for temporary files, by its content."""

import functools
import hashlib
import os
import pathlib
import shutil
import subprocess
import tempfile

from .assembly import Kernels

ROOT = pathlib.Path(__file__).resolve().parents[3]
KERNELS = pathlib.Path(__file__).with_name("kernels.cu")
# The least that they need. For sm_90 the text is the same, but for the line that names it.
OPTIONS = ["-std=c++20", "-O3", "-arch=sm_80", "-ptx", "-DFMT_USE_CONSTEXPR=1"]
OPTIONS += ["--diag-suppress=554,177"]  # View<const> has a conversion that it does not use


def compiler():
    """Path of nvcc, or None."""
    return shutil.which(os.environ.get("CUDACXX") or "nvcc")


def compiled(source, include=ROOT / "src"):
    """Its PTX. Everything that it may include is part of the name under which it is kept."""
    key = hashlib.sha256(repr((compiler(), OPTIONS)).encode())
    key.update(subprocess.run([compiler(), "--version"], capture_output=True, check=True).stdout)
    for path in [source, *sorted(include.rglob("*.h")), *sorted(include.rglob("*.cuh"))]:
        key.update(path.read_bytes())
    folder = pathlib.Path(tempfile.gettempdir(), f"plumb_ptx_{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    kept = folder / f"{key.hexdigest()[:32]}.ptx"
    if not kept.exists():
        command = [compiler(), *OPTIONS, "-I", include, "-o", "-", source]
        run = subprocess.run(command, capture_output=True, text=True)
        if run.returncode != 0:
            raise RuntimeError(run.stderr)
        for old in sorted(folder.glob("*.ptx"), key=lambda p: p.stat().st_mtime)[:-3]:
            old.unlink()
        part = kept.with_suffix(f".{os.getpid()}")
        part.write_text(run.stdout)
        part.rename(kept)
    return kept.read_text()


@functools.cache
def kernels():
    return Kernels(compiled(KERNELS))
