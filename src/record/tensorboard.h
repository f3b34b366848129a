// What of a probe goes to TensorBoard. A tag is one chart there, so by default only the headline
// measures of a few depths are written, some 40 charts whatever the depth of the model; with `all`,
// every measure of every depth.
//
// Tags: MEASURE/KIND/DEPTH_SITE of a measure by depth (write_share/attn/01_layer.0.attn),
// probe/MEASURE of one that a probe has as a whole, gradient_log10/KIND/DEPTH_SITE of a histogram
// of log10 |gradient| of a sublayer's weights. The first event of a tag carries what it means.
#pragma once

#include "formats/tfevents.h"
#include "record/depth_record.h"

#include <vector>

namespace plumb {

// One record a depth, 0..L+1.
void write_probe(EventFile& events, long step, const std::vector<DepthRecord>& records, bool all);

}  // namespace plumb
