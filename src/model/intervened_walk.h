// IntervenedWalk: carries out Interventions in a forward pass, for any mixer. It asks a mixer for
// nothing but M of a token, and never changes what the mixer keeps. The host computes what is
// changed: of copies, where the model is on another device.
#pragma once

#include "mixers/depth_mixer.h"
#include "model/interventions.h"

#include <vector>

namespace plumb {

template <class T>
class IntervenedWalk {
public:
    using Real = RealOf<T>;

    // Allocates, if there are masks: (L+2) tensors (N, C) and one (N).
    IntervenedWalk(Interventions what, const MixerShape& shape);

    // The sublayer that runs at site l = 1..L; L+1 for the output.
    int sublayer_at(int l) const;
    // v_l (N, C), l = 0..L, is in the mixer's slot and not yet written: it takes its gain.
    void output(const Context& ctx, int l, View<T> v);
    // After read(l) of the mixer with this pre-norm of a way: norm.x (N, C) becomes the norm of the
    // masked read. norm.xhat and rstd, which the mixer may go on from, stay.
    void read(const Context& ctx, int l, const DepthMatrix<Real>& mixer, int way, PreNorm<T> norm);

private:
    Interventions what_;
    MixerShape shape_;
    // h (C): the read of token n without its masked sources; row: row l of its M, (L+1, G).
    void masked_read(const Real* row, Index g, const std::vector<bool>& masked, Index n,
                     std::vector<Real>& h, std::vector<Real>& left) const;

    // Where the host computes x (N, C): x itself, or the memory of a copy of it.
    View<T> on_host(View<T> x);

    std::vector<std::vector<T>> v_;  // (L+1) x (N, C), copies of what was written
    std::vector<T> xhat_;            // (N, C)
    std::vector<Real> rstd_;         // (N)
    std::vector<T> copy_;            // (N, C), of a device's rows
};

}  // namespace plumb
