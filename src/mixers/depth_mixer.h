// DepthMixer: the residual connection as one interchangeable part.
//
// Per token, with v_0 the embedding and v_l the output of sublayer l, every residual scheme
// computes what sublayer l reads as a mix over depth,
//
//     h_l = sum_{i<l} M[l,i] v_i        l = 1..L+1   (row L+1 is what the final norm reads)
//
// and differs from the others only in how the row M[l,.] comes about. A mixer is a walk along
// depth:
//
//     v_0 -> slot(0); begin()            backward, the exact mirror, with D_l = dLoss/dh_l:
//     for l = 1..L:                          D_{L+1} -> dslot(L+1); read_backward(L+1)
//         h_l = read(l)                      for l = L..1:
//         F_l(norm(h_l)) -> slot(l)              dv_l = write_backward(l)
//         write(l)                               D_l = F_l'(dv_l) -> dslot(l); read_backward(l)
//     h_{L+1} = read(L+1)                    dv_0 = begin_backward()
//
// The caller writes outputs and gradients straight into the mixer's memory (slot, dslot), so no
// scheme needs a copy. Views that read and write_backward return are valid until the next call.
// Backward adds to parameter gradients and overwrites everything else.
#pragma once

#include "core/arena.h"
#include "core/context.h"
#include "core/params.h"
#include "core/site.h"

#include <string>

namespace plumb {

struct MixerShape {
    int sublayers;    // L
    Index tokens;     // N
    Index channels;   // C
    double norm_eps;  // epsilon of the norms inside the mixer
};

template <class Real>
class DepthMixer {
public:
    explicit DepthMixer(const MixerShape& shape) : shape_(shape) {}
    virtual ~DepthMixer() = default;
    DepthMixer(const DepthMixer&) = delete;
    DepthMixer& operator=(const DepthMixer&) = delete;

    // Declares tensors and parameters; once, before the arena and the store allocate.
    virtual void declare(Plan& plan, ParamStore<Real>& params) = 0;
    // Fetches views of what was declared; both must outlive the mixer.
    virtual void bind(const Arena& arena, ParamStore<Real>& params) = 0;

    // The walk. Each call checks its place in the order and throws InternalError if it is wrong.
    View<Real> slot(int l);  // (N, C), l = 0..L
    void begin(const Context& ctx);
    View<const Real> read(const Context& ctx, int l);  // (ways, N, C) or (N, C) for one way
    void write(const Context& ctx, int l);
    View<Real> dslot(int l);  // like read(l)
    void read_backward(const Context& ctx, int l);
    View<const Real> write_backward(const Context& ctx, int l);  // (N, C)
    View<const Real> begin_backward(const Context& ctx);         // (N, C)

    // How many inputs read(l) fills; 4 for schemes that mix q, k, v and residual apart.
    virtual int ways(int /*l*/) const { return 1; }
    // The running state after write(l) that "norm by depth" measures: (N, C) or (N, K, C).
    virtual View<const Real> stream(int l) const = 0;
    // Channels with an M of their own: 1, or C where gates act per channel.
    virtual Index matrix_channels() const { return 1; }
    // M of one token of the last forward: m (L+1, L+1, G), row l-1, column i, zero for i >= l.
    void depth_matrix(Index token, View<Real> m) const;

    const MixerShape& shape() const { return shape_; }

protected:
    virtual View<Real> do_slot(int l) = 0;
    virtual void do_begin(const Context& ctx) = 0;
    virtual View<const Real> do_read(const Context& ctx, int l) = 0;
    virtual void do_write(const Context& ctx, int l) = 0;
    virtual View<Real> do_dslot(int l) = 0;
    virtual void do_read_backward(const Context& ctx, int l) = 0;
    virtual View<const Real> do_write_backward(const Context& ctx, int l) = 0;
    virtual View<const Real> do_begin_backward(const Context& ctx) = 0;
    // m is zero when this is called.
    virtual void do_depth_matrix(Index token, View<Real> m) const = 0;

    int sublayers() const { return shape_.sublayers; }
    Shape token_shape() const { return {{'N', shape_.tokens}, {'C', shape_.channels}}; }
    std::string site(int l) const { return site_name(l, shape_.sublayers) + ".mixer."; }

private:
    enum class Next : std::uint8_t { begin, read, write, dread, dwrite, dbegin };
    void step(Next expected, int l, Next then, int then_l);

    MixerShape shape_;
    Next next_ = Next::begin;
    int next_l_ = 0;
};

}  // namespace plumb
