#!/usr/bin/env bash
# A sweep on GNU parallel:  SWEEP=blocks.toml scripts/engines/parallel.sh
# JOBS=4 sets how many at a time; arguments go to parallel.
. "$(dirname "$0")/rounds.sh"
in_rounds parallel -j "$jobs" --line-buffer "$@"
