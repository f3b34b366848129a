# Shared by the scripts beside it: source it first. Goes to the root of the checkout.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export MPLBACKEND=Agg

# SCRIPT --help prints the comment that it begins with.
case "${1-}" in
    -h | --help)
        sed -n '2,${/^#/!q; s/^# \{0,1\}//p}' "scripts/$(basename "$0")"
        exit 0
        ;;
esac

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

# Runs each argument as a command of its own, all at once; prints what one said when it has ended.
# Fails if one of them did.
side_by_side() {
    local command status=0 i logs=() processes=()
    for command; do
        logs+=("$(mktemp)")
        (eval "$command") >"${logs[-1]}" 2>&1 &
        processes+=($!)
    done
    for i in "${!processes[@]}"; do
        wait "${processes[$i]}" || { status=1 && say "failed, as said below: ${*:i+1:1}"; }
        cat "${logs[$i]}" && rm "${logs[$i]}"
    done
    return $status
}
