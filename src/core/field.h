// One visit of each config field gives its TOML key, command-line override, manifest entry, sweep
// key and help text. A config struct lists its fields once:
//
//     template <class V> void visit(V& v) { v("layers", layers, "transformer blocks"); ... }
//
// with fields of type long, double, bool or std::string; a string with a fixed choice of values
// passes them as a fourth argument: v("mlp", mlp, "kind of MLP", {"swiglu", "gelu"}).
#pragma once

#include <string>
#include <vector>

namespace plumb {

using Choices = std::vector<std::string>;

}  // namespace plumb
