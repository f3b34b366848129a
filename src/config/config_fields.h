// The fields of a Config as a list, from the one visit of each table. Internal to config/ and
// sweep/.
#pragma once

#include "config/config.h"
#include "core/field_ref.h"

namespace plumb {

// Every field of `config`, in the order of the tables; refers into `config`.
std::vector<FieldRef> field_refs(Config& config);

}  // namespace plumb
