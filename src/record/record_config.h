// The [record] table of a config.
#pragma once

#include "core/field.h"

#include <string>

namespace plumb {

struct RecordConfig {
    std::string label;
    long probe_every = 100;
    long probe_sequences = 8;
    bool tensorboard = true;
    bool tensorboard_all = false;

    template <class V>
    void visit(V& v) {
        v("label", label,
          "what the run is called in tables and figures (\"\": its mixer and the options set)",
          keeps_numbers());
        v("probe_every", probe_every,
          "steps between two measurements by depth: depth.jsonl, matrix/ (0: off)",
          within(0, 1e12).keeps_numbers());
        v("probe_sequences", probe_sequences,
          "how many validation sequences are measured, the same ones whatever the batch",
          within(1, 1e6).keeps_numbers());
        v("tensorboard", tensorboard, "whether TensorBoard events are written too",
          keeps_numbers());
        v("tensorboard_all", tensorboard_all,
          "whether TensorBoard gets every measure at every depth; else the main ones at a few",
          keeps_numbers());
    }
};

}  // namespace plumb
