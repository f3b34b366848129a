#!/usr/bin/env bash
# A sweep on Slurm:  SWEEP=blocks.toml scripts/engines/slurm.sh --time 02:00:00 --chunk 4
# Arguments go to `plumb sweep sbatch`, which prints the script that is submitted; nothing waits.
set -euo pipefail
[ -n "${SWEEP:-}" ] || {
    printf 'name the sweep file: SWEEP=blocks.toml %s\n' "$0" >&2
    exit 2
}
plumb=${PLUMB:-plumb}

script=$("$plumb" sweep sbatch "$SWEEP" "$@")
job=$(sbatch --parsable <<<"$script")
echo "job $job: $(sed -n 's/; submit with.*//; 2s/^# //p' <<<"$script")"

# Once all have ended well: what their results decide ([tune]).
case $("$plumb" sweep plan "$SWEEP" --json) in
*'"pending": []'*) ;;
*)
    logs=$(sed -n 's/^#SBATCH --output="\(.*\)%A_%a.txt"/\1/p' <<<"$script")
    next=$(printf ' %q' "$(realpath "$0")" "$@")
    job=$(sbatch --parsable --dependency="afterok:$job" --output="$logs%j.txt" --wrap "$next")
    echo "job $job: then submits the second stage"
    ;;
esac
