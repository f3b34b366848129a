# shellcheck shell=bash
# Sourced by parallel.sh and xargs.sh.
set -euo pipefail
[ -n "${SWEEP:-}" ] || {
    printf 'name the sweep file: SWEEP=blocks.toml %s\n' "$0" >&2
    exit 2
}
plumb=${PLUMB:-plumb}
jobs=${JOBS:-$(nproc)} # of whoever sources this

# Gives the commands of the runs left to "$@", on its standard input, until none is left. A second
# round makes what the results of the first decide ([tune]), and what has failed once more; a round
# that gains nothing is the last.
in_rounds() {
    local left before=''
    left=$("$plumb" sweep commands "$SWEEP" --todo)
    while [ -n "$left" ] && [ "$left" != "$before" ]; do
        before=$left
        "$@" <<<"$left" || true # what is left says what went wrong
        left=$("$plumb" sweep commands "$SWEEP" --todo)
    done
    [ -z "$left" ] && return
    printf '%s runs are left: failed, or at work elsewhere; type: %s sweep status %s --failed\n' \
        "$(wc -l <<<"$left")" "$plumb" "$SWEEP" >&2
    return 1
}
