// Attention with its arguments and memory, on random numbers.
#pragma once

#include "ops/attention.h"
#include "support/random.h"

namespace plumb::test {

inline constexpr double kEps = 0.01, kBase = 100;

// T: the storage type under test; p: of dropout; scale: of qkv.
template <class T>
struct Attention {
    using Real = RealOf<T>;
    Attention(AttentionShape shape, bool with_norm, int n_threads, double p = 0, double scale = 1)
        : s(shape),
          norm(with_norm),
          ctx{Device::cpu, n_threads},
          dropout{p, 1, 2},
          qkv({{'N', s.tokens()}, {'Q', s.qkv_width()}}, T(Real(9))),
          dout({{'N', s.tokens()}, {'O', s.out_width()}}, T(Real(9))),
          out(dout.view().shape, T(Real(9))),
          dqkv(qkv.view().shape, T(Real(9))),
          gain_q({{'D', s.head_dim}}, "gain_q"),
          gain_k({{'D', s.head_dim}}, "gain_k"),
          dgain_q({{'D', s.head_dim}}, Real(0)),
          dgain_k({{'D', s.head_dim}}, Real(0)),
          lse({{'B', s.batch}, {'H', s.heads}, {'T', s.context}}, Real(9)),
          cos({{'T', s.context}, {'D', s.head_dim / 2}}, Real(9)),
          sin(cos),
          scratch({{'P', n_threads}, {'S', attention_scratch(s)}}, Real(9)),
          dgain({{'B', s.batch}, {'H', s.kv_heads}, {'D', 2 * s.head_dim}}, Real(9)) {
        rope_table<Real>(kBase, cos, sin);
        const Array<double> x(qkv.view().shape, "qkv"), dy(dout.view().shape, "dout");
        for (Index i = 0; i < qkv.size(); ++i) qkv[i] = T(static_cast<Real>(scale * x[i]));
        for (Index i = 0; i < dout.size(); ++i) dout[i] = T(static_cast<Real>(dy[i]));
    }
    AttentionWorkspace<Real> work() { return {cos, sin, scratch, dgain}; }
    View<const Real> gain(Array<Real>& g) {
        return norm ? View<const Real>(g) : View<const Real>{};
    }

    double forward() {
        attention<T>(ctx, s, qkv, gain(gain_q), gain(gain_k), Real(kEps), out, lse, work(),
                     dropout);
        double sum = 0;
        for (Index i = 0; i < out.size(); ++i)
            sum += static_cast<double>(out[i]) * static_cast<double>(dout[i]);
        return sum;
    }
    void backward() {
        attention_backward<T>(ctx, s, dout, qkv, gain(gain_q), gain(gain_k), Real(kEps), out, lse,
                              dqkv, norm ? dgain_q.view() : View<Real>{},
                              norm ? dgain_k.view() : View<Real>{}, work(), dropout);
    }

    AttentionShape s;
    bool norm;
    Context ctx;
    Dropout dropout;
    Array<T> qkv, dout, out, dqkv;
    Array<Real> gain_q, gain_k, dgain_q, dgain_k, lse, cos, sin, scratch, dgain;
};

}  // namespace plumb::test
