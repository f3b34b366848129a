// A program in place of plumb, for what a run does seldom: a shell script that is called as
// `plumb train --out DIR ...` and finds DIR in $dir, and how often it was called for it in $n.
// Makes DIR a run, as plumb does first.
#pragma once

#include "sweep/hand_made_plan.h"

namespace plumb::test {

inline std::string fake_program(const std::filesystem::path& file, const std::string& body) {
    spill(
        file,
        "#!/bin/sh\ndir=$3\n: >$dir/config.toml\nprintf x >>$dir/calls\nn=$(wc -c <$dir/calls)\n" +
            body);
    std::filesystem::permissions(file, std::filesystem::perms::owner_all);
    return file;
}

inline long calls_of(const PlannedRun& run) {
    return static_cast<long>(slurp(run.dir / "calls").size());
}

}  // namespace plumb::test
