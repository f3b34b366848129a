# Shared by the scripts beside it: source it first. Goes to the root of the checkout.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export MPLBACKEND=Agg

say() { printf '%s\n' "$@"; } # each argument on a line
fail() { # EXIT_CODE MESSAGE
    printf '%s: %s\n' "$(basename "$0")" "$2" >&2
    exit "$1"
}

# Prints the first Python that has what the plots need: $PLUMB_PYTHON, a .venv here, Debian's, or
# the one on the PATH (often another one, without these packages). Fails if there is none.
find_python() {
    local python
    for python in "${PLUMB_PYTHON:-}" .venv/bin/python /usr/bin/python3 python3; do
        [ -n "$python" ] && "$python" -c 'import numpy, scipy, matplotlib' 2>/dev/null || continue
        command -v "$python"
        return
    done
    return 1
}

# Configures and builds build/release; further arguments go to the build.
build_release() {
    if command -v ccache >/dev/null; then
        export CMAKE_CXX_COMPILER_LAUNCHER="${CMAKE_CXX_COMPILER_LAUNCHER-ccache}"
    fi
    cmake --preset release ${PLUMB_CUDA:+-DPLUMB_CUDA=$PLUMB_CUDA}
    cmake --build --preset release -j "$(nproc)" "$@"
}
