// Figures of the parameters by depth: their gradients, and the last update beside their size.
#pragma once

#include "core/params.h"
#include "mixers/layout.h"
#include "record/depth_record.h"

#include <span>
#include <vector>

namespace plumb {

template <class Real>
GradientSummary summarise_gradients(const std::vector<View<const Real>>& grads);

// The mixer's parameters that belong to depth l, by their names: SITE.mixer.*, and layer.K.mixer.*
// (once a transformer block) to the last sublayer of block K.
std::vector<ParamId> mixer_params_at(const std::vector<ParamSpec>& specs, const Layout& layout,
                                     int l);

// Fills pgrad_* and update_ratio from `weights`, mixer_* from the mixer's parameters at the
// record's depth. `before`: the flat values before the last update; empty where there was none, and
// update ratios then stay empty. Throws InternalError if `before` has another size.
template <class Real>
void add_parameter_figures(ParamStore<Real>& params, const Layout& layout,
                           const std::vector<ParamId>& weights, std::span<const Real> before,
                           DepthRecord& out);

}  // namespace plumb
