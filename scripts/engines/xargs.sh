#!/usr/bin/env bash
# A sweep on xargs:  SWEEP=blocks.toml scripts/engines/xargs.sh
# JOBS=4 sets how many at a time.
. "$(dirname "$0")/rounds.sh"
in_rounds xargs -d '\n' -P "$jobs" -I{} sh -c {}
