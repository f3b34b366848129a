// AttnRes, full, walked with the kernels of Sources: reads in groups of up to G that share a pass
// over the old sources, sources in groups of up to G that pull from all known readers and, as later
// readers come, from those one by one (spread).
#include "gpu/kernel_checks.h"
#include "mixers/memories/sources_backward.cuh"

namespace plumb::test {
namespace {

using namespace plumb::gpu;

constexpr int kRing = 6;

template <class F>
void with_count(int n, F&& f) {
    using std::integral_constant;
    if (n == 1) return f(integral_constant<int, 1>{});
    if (n == 2) return f(integral_constant<int, 2>{});
    if (n == 3) return f(integral_constant<int, 3>{});
    f(integral_constant<int, 4>{});
}

template <class T>
class SourcesWalk {
public:
    using Real = RealOf<T>;

    SourcesWalk(const RowShape& s, int group)
        : s_(s),
          group_(std::min(group, 4 / s.V)),
          reads_(s.V == 4 ? 3 : group_),  // the queries of 3 lie in shared memory

          W_(warps_for(s.C, s.C % 8 ? 1 : s.V)),
          ref_(walk_reference("attnres", {}, s.L, s.N, s.C, 11, sizeof(T) == 2)),
          n_(size(s.N)),
          rows_(size(s.N) * size(s.C)),
          readers_(size(s.L + 1)) {}

    Compared run() {
        gain_.put(ref_.gain);
        std::vector<double> u(size(s_.C), 0.0);  // site 1: its only source needs none
        for (int l = 2; l <= s_.L + 1; ++l) {
            const auto &q = *ref_.parameter(l, "query"), &k = *ref_.parameter(l, "key_gain");
            for (std::size_t c = 0; c < q.size(); ++c) u.push_back(q[c] * k[c]);
        }
        u_.put(u);
        v_.put(ref_.v[0]);
        for (int first = 1; first <= s_.L + 1; first += reads_) read_group(first);
        for (int hi = s_.L; hi >= 0; hi -= group_) pull_group(hi);
        add_parameter_gradients();
        return std::move(out_);
    }

private:
    NormArgs<T> norm(int l) {
        return {xhat_.at(size(l - 1) * rows_),
                norm_rstd_.at(size(l - 1) * n_),
                gain_,
                x_,
                dx_,
                Real(ref_.eps)};
    }
    T* source(int i) { return v_.at(size(i) * rows_); }
    // Of source i, reader l.
    std::size_t pair(int i, int l) const { return (size(i) * readers_ + size(l - 1)) * n_; }

    void read_group(int first) {
        const int Q = std::min(reads_, s_.L + 2 - first);
        for (int l = first; l < first + Q; ++l) {
            SourcesRead<T> a{};
            a.N = s_.N, a.C = s_.C, a.W = W_;
            // The first read goes over all old sources, later ones over those since.
            const int from = l == first ? 0 : first;
            a.S = l - from;
            for (int i = from; i < l; ++i) a.source.p[i - from] = source(i);
            a.u = u_.at(size(l - 1) * size(s_.C));
            a.Q = l == first ? Q : 1;
            a.rstd = rstd_.at(size(l - 1) * n_);
            a.logits = logits_.at(pair(from, l));
            a.k_step = static_cast<long>(readers_ * n_);
            a.lse = lse_.at(size(l - 1) * n_);
            if (l > first) a.waiting = mix(l);
            for (int q = 1; q < Q && l == first; ++q) a.mixes.p[q] = mix(l + q);
            a.eps = Real(ref_.eps);
            a.norm = norm(l);
            start_read(a.Q, a);
            out_.add("xhat", xhat_.get(size(l - 1) * rows_, rows_), ref_.xhat[size(l)]);
            if (l <= s_.L) v_.put(ref_.v[size(l)], size(l) * rows_);
        }
    }
    // Where the mix of read l waits: in the row that v_l will fill, the last one in a row of its
    // own.
    T* mix(int l) { return source(l); }
    void start_read(int Q, const SourcesRead<T>& a) {
        with_runs(s_, [&](auto V, auto whole) {
            with_count(Q, [&](auto q) {
                if constexpr (q.value * V.value <= 4 || q.value * V.value == 12) {
                    constexpr int G = q.value % 2 ? 3 : 2;
                    const auto kernel = sources_read<T, q.value, V.value, G, kRing, whole.value>;
                    launch(stream(), "sources_read", kernel,
                           resident_grid(kernel, s_.N, W_,
                                         sources_read_shared<T, q.value, V.value, kRing>(
                                             threads_for(W_), W_)),
                           a);
                }
            });
        });
    }

    // Sources hi, hi - 1, ... once the norm of reader hi + 1 gave its gradient.
    void pull_group(int hi) {
        const int K = std::min(group_, hi + 1), lo = hi - K + 1;
        for (int l = hi + 1; l > lo; --l) {
            dx_.put(ref_.dx[size(l)]);
            SourcesPull<T> a{};
            a.N = s_.N, a.C = s_.C, a.W = W_;
            a.R = l == hi + 1 ? s_.L + 2 - l : 1;
            for (int q = 1; q < a.R; ++q) a.d.p[q] = xhat_.at(size(l + q - 1) * rows_);
            const int count = l == hi + 1 ? K : l - lo;
            a.K = count;
            for (int k = 0; k < count; ++k)
                a.source.p[k] = source(lo + k), a.gradient.p[k] = dv_.at(size(lo + k) * rows_);
            a.adds = l != hi + 1;
            a.u = u_.at(size(l - 1) * size(s_.C));
            a.rstd = rstd_.at(size(lo) * n_);
            a.logits = logits_.at(pair(lo, l));
            a.k_step = static_cast<long>(readers_ * n_);
            a.lse = lse_.at(size(l - 1) * n_);
            a.delta = delta_.at(size(l - 1) * n_);
            a.norm = norm(l);
            if (a.adds) {
                a.kept_d = a.norm.xhat;
                start_spread(count, l, a);
            } else {
                a.t = t_.at(pair(lo, l));
                start_pull(K, l, a);
                add_du(lo, K, l);
            }
            out_.add("dv", dv_.get(size(l - 1) * rows_, rows_), ref_.dv[size(l - 1)]);
        }
    }
    void start_pull(int K, int l, SourcesPull<T>& a) {
        with_runs(s_, [&](auto V, auto whole) {
            with_count(K, [&](auto k) {
                if constexpr (k.value * V.value <= 4) {
                    const auto kernel =
                        sources_pull<T, k.value, V.value, 2, kRing, whole.value, true>;
                    const Grid grid = resident_grid(kernel, s_.N, W_,
                                                    ring_bytes<T, V.value, kRing>(threads_for(W_)));
                    Buffer<Real> dgain(grid.blocks * size(s_.C));
                    a.dgain_part = dgain;
                    launch(stream(), "sources_pull", kernel, grid, a);
                    out_.add("dgain", column_sums(dgain.get(), s_.C), ref_.dgain[size(l)]);
                }
            });
        });
    }
    void start_spread(int S, int l, SourcesPull<T>& a) {
        with_runs(s_, [&](auto V, auto whole) {
            const auto kernel = sources_spread<T, V.value, 2, kRing, whole.value, true>;
            const Grid grid =
                resident_grid(kernel, s_.N, W_, ring_bytes<T, V.value, kRing>(threads_for(W_)));
            Buffer<Real> dgain(grid.blocks * size(s_.C)), du(grid.blocks * size(s_.C));
            a.dgain_part = dgain, a.du_part = du;
            launch(stream(), "sources_spread", kernel, grid, S, a);
            out_.add("dgain", column_sums(dgain.get(), s_.C), ref_.dgain[size(l)]);
            const std::vector<double> sums = column_sums(du.get(), s_.C);
            for (std::size_t c = 0; c < sums.size(); ++c)
                du_[size(l - 1) * sums.size() + c] += sums[c];
        });
    }
    // du += t^T v: a matrix product's part, here on the host.
    void add_du(int lo, int K, int first_reader) {
        const std::size_t C = size(s_.C);
        for (int k = 0; k < K; ++k) {
            const std::vector<double> v = v_.get(size(lo + k) * rows_, rows_);
            for (int l = first_reader; l <= s_.L + 1; ++l) {
                const std::vector<double> t = t_.get(pair(lo + k, l), n_);
                for (std::size_t n = 0; n < n_; ++n)
                    for (std::size_t c = 0; c < C; ++c)
                        du_[size(l - 1) * C + c] += t[n] * v[n * C + c];
            }
        }
    }
    void add_parameter_gradients() {
        for (int l = 2; l <= s_.L + 1; ++l) {
            const auto &q = *ref_.parameter(l, "query"), &k = *ref_.parameter(l, "key_gain");
            std::vector<double> dq, dk;
            for (std::size_t c = 0; c < q.size(); ++c) {
                const double du = du_[size(l - 1) * q.size() + c];
                dq.push_back(du * k[c]), dk.push_back(du * q[c]);
            }
            out_.add("dquery", dq, *ref_.gradient(l, "query"));
            out_.add("dkey_gain", dk, *ref_.gradient(l, "key_gain"));
        }
    }

    RowShape s_;
    int group_, reads_, W_;
    Walk ref_;
    std::size_t n_, rows_, readers_;
    Buffer<T> v_{(readers_ + 1) * rows_}, xhat_{readers_ * rows_}, x_{rows_}, dx_{rows_},
        dv_{readers_ * rows_};
    Buffer<Real> u_{readers_ * size(s_.C)}, gain_{size(s_.C)}, rstd_{readers_ * n_},
        norm_rstd_{readers_ * n_}, lse_{readers_ * n_}, delta_{readers_ * n_},
        logits_{readers_ * readers_ * n_}, t_{readers_ * readers_ * n_};
    std::vector<double> du_ = std::vector<double>(readers_ * size(s_.C), 0.0);
    Compared out_;
};

template <class T>
Compared walk_attn_res(const RowShape& s) {
    return SourcesWalk<T>(s, s.N % 2 ? 3 : 4).run();
}

}  // namespace

void check_sources(Report& report) {
    for (const RowShape& s : kShapes) {
        check_runs<double>(report, "attnres", s, walk_attn_res<double>);
        check_runs<float>(report, "attnres", s, walk_attn_res<float>);
        check_runs<Bf16>(report, "attnres", s, walk_attn_res<Bf16>);
    }
    const RowShape deep{36, 2, 16, 1};  // more readers than a warp has lanes
    check_runs<double>(report, "attnres, 36 sublayers", deep, walk_attn_res<double>);
    check_runs<Bf16>(report, "attnres, 36 sublayers", deep, walk_attn_res<Bf16>);
}

}  // namespace plumb::test
