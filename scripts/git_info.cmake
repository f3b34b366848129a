# Writes OUT/git_info.h and OUT/git_info.cpp, only when they would change, so that a build of an
# unchanged tree compiles nothing. Called at every build with GIT, SOURCE and OUT.
set(commit "unknown")
set(dirty false)
if(GIT)
    # --show-toplevel: a tarball unpacked inside somebody else's repository is not that commit
    execute_process(COMMAND ${GIT} -C ${SOURCE} rev-parse --show-toplevel
        OUTPUT_VARIABLE top OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    file(REAL_PATH ${SOURCE} source)
    if(top STREQUAL source)
        execute_process(COMMAND ${GIT} -C ${SOURCE} rev-parse --verify HEAD
            RESULT_VARIABLE failed ERROR_QUIET
            OUTPUT_VARIABLE head OUTPUT_STRIP_TRAILING_WHITESPACE)
        if(NOT failed)
            set(commit ${head})
        endif()
        execute_process(COMMAND ${GIT} -C ${SOURCE} --no-optional-locks status --porcelain
            OUTPUT_VARIABLE changes ERROR_QUIET)
        if(changes)
            set(dirty true)
        endif()
    endif()
endif()

file(CONFIGURE OUTPUT ${OUT}/git_info.h @ONLY CONTENT [[
#pragma once

namespace plumb {
const char* git_commit();  // 40 hex digits, or "unknown" outside a git checkout
bool git_dirty();          // the tree differed from that commit when this was built
}  // namespace plumb
]])
file(CONFIGURE OUTPUT ${OUT}/git_info.cpp @ONLY CONTENT [[
#include "plumb/git_info.h"

namespace plumb {
const char* git_commit() { return "@commit@"; }
bool git_dirty() { return @dirty@; }
}  // namespace plumb
]])
