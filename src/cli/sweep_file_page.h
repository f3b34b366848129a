// `plumb help sweep-file`: everything that a sweep file may say.
#pragma once

namespace plumb {

extern const char* const kSweepFilePage;

}  // namespace plumb
